"""Dashboards as Grafana's JSON, by Grafana's own builders."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from ferrometer.generate.board import Board, Panel

try:
    with warnings.catch_warnings():
        # The schema of dashboards that every Grafana reads is not their newest one.
        warnings.simplefilter("ignore", DeprecationWarning)
        from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, timeseries
        from grafana_foundation_sdk.cog.encoder import JSONEncoder
        from grafana_foundation_sdk.models import common as kinds
        from grafana_foundation_sdk.models import dashboard as models
except ModuleNotFoundError:
    raise ModuleNotFoundError(
        'dashboards need Grafana\'s builders: pip install "ferrometer[dashboards]"'
    ) from None

_SOURCE = kinds.DataSourceRef(type_val="prometheus", uid="${datasource}")
_WIDTH = 24
_UID = 40


def to_tree(board: Board, namespace: str, runbooks: Mapping[str, str]) -> dict[str, Any]:
    """The dashboard as an object. ``runbooks`` has the address of an alert's, by the alert's name."""
    title = f"{namespace} – {board.title}"
    made = (
        dashboard.Dashboard(title)
        .uid(uid(namespace, board.slug))
        .description(board.about)
        .tags(["ferrometer", namespace, *board.tags])
        .editable()
        .refresh("30s")
        .time("now-1h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .variables(
            [
                dashboard.DatasourceVariable("datasource")
                .label("Data source")
                .type("prometheus")
                .current(models.VariableOption(selected=True, text="Prometheus", value="prometheus"))
            ]
        )
        .link(
            dashboard.DashboardLink("Others of this service")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([namespace])
            .as_dropdown(True)
            .keep_time(True)
        )
    )
    number = 0
    for row in board.rows:
        number += 1
        made = made.with_row(dashboard.Row(row.title).id(number))
        for panel in row.panels:
            number += 1
            made = made.with_panel(_panel(panel, number, row.panels, runbooks))
    tree: dict[str, Any] = json.loads(JSONEncoder(sort_keys=False).encode(made.build()))
    return tree


def uid(namespace: str, slug: str) -> str:
    """Unique among all dashboards of a Grafana, and at most 40 characters long."""
    return f"{namespace[: _UID - 1 - len(slug)]}-{slug}"


def _panel(panel: Panel, number: int, beside: tuple[Panel, ...], runbooks: Mapping[str, str]) -> Any:
    # Single values are small: as many beside each other as the row has.
    small = sum(each.kind in ("values", "health") for each in beside)
    is_small = panel.kind in ("values", "health")
    made = _KINDS[panel.kind](panel)
    made = (
        made.id(number)
        .title(panel.title)
        .datasource(_SOURCE)
        .span(min(8, max(4, _WIDTH // small)) if is_small else 8)
        .height(4 if is_small else 8)
    )
    about = [panel.about] if panel.about else []
    if panel.alert:
        about.append(f"The alert {panel.alert} watches it.")
    if panel.source == "node":
        about.append("Of the node exporter.")
    if panel.source == "kubernetes":
        about.append("Of kube-state-metrics.")
    if about:
        made = made.description(" ".join(about))
    if address := runbooks.get(panel.alert):
        made = made.links(
            [dashboard.DashboardLink("Runbook").type(models.DashboardLinkType.LINK).url(address)]
        )
    for letter, (expression, legend) in zip("ABCDEFGH", panel.lines, strict=False):
        made = made.with_target(_target(panel, letter, expression, legend))
    return made


def _target(panel: Panel, letter: str, expression: str, legend: str) -> Any:
    made = prometheus.Dataquery().expr(expression).ref_id(letter).legend_format(legend or "__auto")
    if panel.kind == "heatmap":
        return made.range().format(models_format("heatmap"))
    if panel.kind == "lines":
        return made.range().exemplar(panel.has_exemplars)
    return made.instant()


def models_format(name: str) -> Any:
    """How a query's answer is arranged."""
    from grafana_foundation_sdk.models.prometheus import PromQueryFormat

    return PromQueryFormat(name)


def _thresholds(panel: Panel) -> Any:
    """Green, yellow from ``warn`` on, red from ``bad`` on; or red, yellow, green, where less is worse."""
    green, yellow, red = "green", "yellow", "red"
    found = [(panel.warn, yellow), (panel.bad, red)]
    if panel.warn is not None and panel.bad is not None and panel.bad < panel.warn:
        found = [(panel.bad, yellow), (panel.warn, green)]
        green = red
    steps = [models.Threshold(value=None, color=green)]
    steps += [models.Threshold(value=value, color=color) for value, color in found if value is not None]
    return dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(steps)


def _lines(panel: Panel) -> Any:
    legend = (
        common.VizLegendOptions()
        .display_mode(kinds.LegendDisplayMode.TABLE)
        .placement(kinds.LegendPlacement.BOTTOM)
        .show_legend(True)
        .calcs(["lastNotNull", "max"])
    )
    made = (
        timeseries.Panel()
        .unit(panel.unit)
        .min(0)
        .legend(legend)
        .tooltip(
            common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING)
        )
        .line_width(1)
        .fill_opacity(8)
        .show_points(kinds.VisibilityMode.NEVER)
        .thresholds(_thresholds(panel))
    )
    if panel.most is not None:
        made = made.max(panel.most)
    if panel.warn is not None or panel.bad is not None:
        style = common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.DASHED)
        made = made.thresholds_style(style)
    return made


def _values(panel: Panel) -> Any:
    return (
        stat.Panel()
        .unit(panel.unit)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]).values(False))
        .graph_mode(kinds.BigValueGraphMode.NONE)
        .color_mode(kinds.BigValueColorMode.VALUE)
        .text_mode(kinds.BigValueTextMode.AUTO)
        .thresholds(_thresholds(panel))
    )


def _health(panel: Panel) -> Any:
    result = models.ValueMappingResult
    mapping = models.ValueMap(
        options={"1": result(text="UP", color="green"), "0": result(text="DOWN", color="red")}
    )
    return (
        _values(panel)
        .mappings([mapping])
        .text_mode(kinds.BigValueTextMode.VALUE_AND_NAME)
        .color_mode(kinds.BigValueColorMode.BACKGROUND)
    )


def _heatmap(panel: Panel) -> Any:
    return heatmap.Panel().calculate(False).unit("short")


_KINDS: Mapping[str, Callable[[Panel], Any]] = {
    "lines": _lines,
    "values": _values,
    "health": _health,
    "heatmap": _heatmap,
}
