// The table of routes; a row opens to the heat map of its durations.
import { HeatMap, Lines } from "./chart.js";
import { exact, quantile, quote, shown } from "./data.js";
import { make, say } from "./dom.js";
import { text, words } from "./format.js";
import { change, state } from "./state.js";

const BY = "method, endpoint";
const TIMES = "http_request_duration_seconds";
const COLUMNS = [
  { name: "route", title: "Route" },
  { name: "rate", title: "Rate", unit: "/s" },
  { name: "errors", title: "Errors", unit: "ratio" },
  { name: "p50", title: "p50", unit: "s", optional: true },
  { name: "p95", title: "p95", unit: "s", optional: true },
  { name: "p99", title: "p99", unit: "s" },
  { name: "byte", title: "First byte", unit: "s", optional: true },
];
/** Rows that are there without asking for more. */
const FIRST = 100;

export class Routes {
  constructor() {
    this.known = new Map();
    this.rows = new Map();
    this.most = FIRST;
    this.body = make("tbody");
    this.heads = new Map(COLUMNS.map(({ name, title, optional }) => [name, make("th", { scope: "col", className: optional ? "optional" : "" },
      make("button", { type: "button", on: { click: () => this.sort(name) } }, title))]));
    this.title = make("h2", {}, "Routes");
    this.filter = make("input", { type: "search", placeholder: "Filter", value: state.filter, "aria-label": "Filter the routes",
      on: { input: () => { change({ filter: this.filter.value }); this.lay(); } } });
    this.more = make("button", { type: "button", className: "more-rows", hidden: true,
      on: { click: () => { this.most = Infinity; this.lay(); } } });
    this.nothing = make("p", { className: "empty" }, "No requests yet. The first one shows here within a second or two.");
    this.table = make("table", { hidden: true }, make("caption", { className: "hidden" }, "Requests by route"),
      make("thead", {}, make("tr", {}, ...this.heads.values())), this.body);
    this.node = make("section", { className: "card" }, make("header", {}, this.title, this.filter),
      make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Routes" }, this.table, this.nothing), this.more);
    this.detail = null;
  }

  wanted() {
    const { table, rate } = shown.span;
    const all = `sum by (${BY}) (rate(http_requests_total[${table}]))`;
    const now = {
      routeRate: all,
      routeErrors: `sum by (${BY}) (rate(http_requests_total{status=~"5.."}[${table}]))`,
      routeByte: quantile(0.95, "http_response_first_byte_seconds", table, BY),
    };
    for (const [name, q] of [["P50", 0.5], ["P95", 0.95], ["P99", 0.99]]) now[`route${name}`] = quantile(q, TIMES, table, BY);
    const over = {};
    if (state.route) {
      const [method, endpoint] = this.labelsOf(state.route);
      const labels = `{method=${quote(method)}, endpoint=${quote(endpoint)}}`;
      const window = shown.span.bins ? rate : "15m";
      over.routeHeat = { query: `rate(${TIMES}${labels}[${window}])`, schema: shown.span.seconds > 3600 ? 2 : 3 };
      for (const [name, q] of [["p50", 0.5], ["p95", 0.95], ["p99", 0.99]]) over[`one${name}`] = quantile(q, TIMES, rate, "", labels, shown.span.bins);
    }
    return { now, over };
  }

  labelsOf(route) {
    const { method, endpoint } = this.known.get(route)?.labels ?? {};
    return endpoint === undefined ? split(route) : [method ?? "", endpoint];
  }

  show(now, over) {
    const known = new Map();
    const key = ({ method, endpoint }) => `${method ?? ""} ${endpoint ?? ""}`;
    for (const { labels, value } of now.routeRate) known.set(key(labels), { route: key(labels), labels, rate: value, errors: 0 });
    const put = (entries, name, of = (value) => value) => {
      for (const { labels, value } of entries) {
        const row = known.get(key(labels));
        if (row) row[name] = of(value, row);
      }
    };
    put(now.routeErrors, "errors", (value, row) => (row.rate > 0 ? value / row.rate : NaN));
    put(now.routeP50, "p50");
    put(now.routeP95, "p95");
    put(now.routeP99, "p99");
    put(now.routeByte, "byte");
    this.known = known;
    this.lay();
    if (state.route && this.detail?.route === state.route) {
      this.detail.heat.set(over.routeHeat?.[0]);
      this.detail.lines.set(["p50", "p95", "p99"].flatMap((name) => (over[`one${name}`] ?? []).map(({ points }) => ({ name, points }))));
    }
  }

  sort(name) {
    const down = `-${name}`;
    change({ sort: state.sort === down ? name : state.sort === name ? down : name === "route" ? name : down });
    this.lay();
  }

  lay() {
    const sought = state.filter.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...this.known.values()].filter(({ route }) => sought.every((word) => route.toLowerCase().includes(word)));
    const by = state.sort.replace("-", ""), sign = state.sort.startsWith("-") ? -1 : 1;
    rows.sort((one, other) => sign * compare(one[by], other[by], sign) || one.route.localeCompare(other.route));
    const visible = rows.slice(0, this.most);
    if (state.route && this.known.has(state.route) && !visible.some(({ route }) => route === state.route)) visible.push(this.known.get(state.route));
    const total = [...this.known.values()].reduce((sum, { rate }) => sum + (rate || 0), 0);
    say(this.title, this.known.size ? `Routes (${rows.length === this.known.size ? rows.length : `${rows.length} of ${this.known.size}`}), over the last ${words(shown.span.table)}${exact() ? "" : ", percentiles from the buckets"}` : "Routes");
    this.nothing.hidden = this.known.size > 0;
    this.table.hidden = this.known.size === 0;
    this.filter.hidden = this.known.size < 2;
    this.more.hidden = rows.length <= visible.length;
    if (!this.more.hidden) say(this.more, `Show all ${rows.length}`);
    for (const [name, head] of this.heads) {
      if (name === by) head.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
    this.heads.get("byte").hidden = !rows.some(({ byte }) => byte !== undefined && !Number.isNaN(byte));
    let place = this.body.firstChild;
    for (const values of visible) {
      const row = this.row(values.route, values.labels);
      row.set(values, total, this.heads.get("byte").hidden);
      if (row.node === place) place = place.nextSibling;
      else this.body.insertBefore(row.node, place);
      if (values.route === state.route) {
        const detail = this.opened(values.route);
        if (detail.node === place) place = place.nextSibling;
        else this.body.insertBefore(detail.node, place);
      }
    }
    while (place) {
      const next = place.nextSibling;
      place.remove();
      place = next;
    }
    for (const route of this.rows.keys()) if (!this.known.has(route)) this.rows.delete(route);
  }

  row(route, labels) {
    if (!this.rows.has(route)) this.rows.set(route, new Row(route, labels));
    return this.rows.get(route);
  }

  opened(route) {
    if (this.detail?.route !== route) {
      const [heat, lines] = [new HeatMap("How long requests took", "s"), new Lines("Percentiles", "s")];
      const cell = make("td", { colSpan: COLUMNS.length }, make("div", { className: "charts" },
        make("div", {}, make("h3", {}, heat.title), heat.node), make("div", {}, make("h3", {}, lines.title), lines.node)));
      this.detail = { route, heat, lines, node: make("tr", { className: "detail" }, cell) };
    }
    return this.detail;
  }

  redraw() {
    this.detail?.heat.draw();
    this.detail?.lines.draw();
  }
}

class Row {
  constructor(route, { method = "", endpoint = "" }) {
    this.route = route;
    this.button = make("button", { type: "button", className: "route", title: route, "aria-expanded": "false",
      on: { click: () => change({ route: state.route === route ? "" : route }, true) } },
      make("span", { className: "verb" }, method), make("span", { className: "name" }, endpoint));
    this.meter = make("span", { className: "meter" });
    this.cells = COLUMNS.slice(1).map(({ optional }) => make("td", { className: optional ? "optional" : "" }, make("span")));
    this.cells[0].append(make("span", { className: "share" }, this.meter));
    this.node = make("tr", {}, make("td", {}, this.button), ...this.cells);
  }

  set(values, total, withoutByte) {
    COLUMNS.slice(1).forEach(({ name, unit }, at) => say(this.cells[at].firstChild, text(values[name], unit)));
    this.cells[1].firstChild.className = values.errors > 0.05 ? "bad" : values.errors > 0.01 ? "warn" : "";
    this.cells[5].hidden = withoutByte;
    this.meter.style.width = `${total > 0 ? (100 * values.rate) / total : 0}%`;
    const isOpen = state.route === this.route;
    this.button.setAttribute("aria-expanded", String(isOpen));
    this.node.classList.toggle("open", isOpen);
  }
}

function compare(one, other, sign) {
  const [isOne, isOther] = [one, other].map((value) => value !== undefined && !Number.isNaN(value));
  if (!isOne || !isOther) return isOne === isOther ? 0 : (isOne ? -1 : 1) * sign;
  return typeof one === "string" ? one.localeCompare(other) : one - other;
}

function split(route) {
  const at = route.indexOf(" ");
  return [route.slice(0, at), route.slice(at + 1)];
}
