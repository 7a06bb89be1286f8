// The first view: how the service does, at a glance, and its routes.
import { Lines } from "./chart.js";
import { exact, quantile, shown, single } from "./data.js";
import { make, say } from "./dom.js";
import { parts, text, words } from "./format.js";
import { Alerts } from "./alerts.js";
import { Routes } from "./routes.js";

const TIMES = "http_request_duration_seconds";
const ALL = "http_requests_total";
const FAILED = 'http_requests_total{status=~"5.."}';

/** The share of failures: 0 where there are requests and none has failed. */
const failing = (window) =>
  `(sum(rate(${FAILED}[${window}])) or 0 * sum(rate(${ALL}[${window}]))) / sum(rate(${ALL}[${window}]))`;

const isFresh = () => shown.span.step <= shown.span.every;

/** The sum of the lines' latest points; undefined where the latest time has none. */
function latest(lines) {
  const end = Math.max(...lines.map(({ points }) => Math.max(...points.keys())));
  if (!(shown.now - end < 3 * shown.span.step)) return undefined;
  return lines.reduce((sum, { points }) => sum + (points.get(end) ?? 0), 0);
}

/** A number with its name. */
export class Tile {
  constructor(title, unit, more = "") {
    this.unit = unit;
    this.number = make("span");
    this.name = make("span", { className: "unit" });
    this.more = make("span", { className: "more" }, more);
    this.value = make("dd", {}, this.number, this.name, this.more);
    this.node = make("div", { className: "tile" }, make("dt", {}, title), this.value);
  }

  set(value, more, tone = "") {
    const [number, unit] = parts(value, this.unit);
    say(this.number, number);
    say(this.name, unit);
    if (more !== undefined) say(this.more, more);
    this.number.className = tone;
  }
}

export const card = (title, ...inside) =>
  make("section", { className: "card" }, make("header", {}, make("h2", {}, title)), ...inside);

export class Overview {
  title = "Overview";

  constructor() {
    this.tiles = {
      rate: new Tile("Requests", "/s"),
      errors: new Tile("Errors", "ratio"),
      p50: new Tile("p50", "s"),
      p95: new Tile("p95", "s"),
      p99: new Tile("p99", "s"),
      byte: new Tile("First byte, p95", "s", "streamed answers"),
      flight: new Tile("In flight", ""),
      busy: new Tile("Processor", "ratio", "of what it may use"),
      lag: new Tile("Loop lag, p99", "s", "how late timers run"),
    };
    this.charts = {
      statuses: new Lines("Requests by status", "/s"),
      times: new Lines("Time to answer", "s"),
      errors: new Lines("Errors", "ratio"),
    };
    this.health = make("ul", { className: "legend" });
    this.checks = card("Health", this.health);
    this.checks.classList.add("strip");
    this.routes = new Routes();
    this.alerts = new Alerts();
    const charts = Object.values(this.charts).map((chart) => card(chart.title, chart.node));
    this.node = make("div", { className: "view" },
      make("h2", { className: "hidden" }, "Overview"),
      make("dl", { className: "tiles" }, ...Object.values(this.tiles).map(({ node }) => node)),
      this.alerts.node,
      make("div", { className: "charts" }, ...charts),
      this.checks,
      this.routes.node);
    this.node.style.display = "contents";
  }

  isThere() {
    return true;
  }

  wanted() {
    const { rate } = shown.span;
    const routes = this.routes.wanted();
    const near = shown.span.bins ? rate : shown.span.table;
    // Where a chart has a point each refresh, that is the tile's figure, too.
    const figures = isFresh() ? {} : {
      rate: `sum(rate(${ALL}[${rate}]))`,
      errors: failing(rate),
      p50: quantile(0.5, TIMES, near),
      p95: quantile(0.95, TIMES, near),
      p99: quantile(0.99, TIMES, near),
    };
    return {
      now: {
        ...figures,
        byte: quantile(0.95, "http_response_first_byte_seconds", near),
        flight: "sum(http_requests_in_flight)",
        sockets: "sum(websocket_connections_active)",
        busy: "max(cgroup_cpu_used_ratio)",
        lag: quantile(0.99, "asyncio_loop_lag_seconds", near),
        ...routes.now,
      },
      over: {
        statuses: `sum by (class) (label_replace(rate(${ALL}[${rate}]), "class", "\${1}xx", "status", "(.).*"))`,
        p50: quantile(0.5, TIMES, rate),
        p95: quantile(0.95, TIMES, rate),
        p99: quantile(0.99, TIMES, rate),
        errors: failing(rate),
        ...routes.over,
      },
      also: { alerts: ["alerts", {}] },
    };
  }

  show({ now, over, also }) {
    const value = (name) => (isFresh() && name in over ? latest(over[name]) : single(now[name]));
    const { tiles, charts } = this;
    tiles.rate.set(isFresh() ? latest(over.statuses) : value("rate"), `over the last ${words(shown.span.rate)}`);
    const errors = value("errors");
    tiles.errors.set(errors, "answered with 5xx", errors > 0.05 ? "bad" : errors > 0.01 ? "warn" : "");
    const how = exact() ? "from every bin" : "from the buckets";
    for (const name of ["p50", "p95", "p99"]) tiles[name].set(value(name), how);
    const byte = value("byte");
    tiles.byte.node.hidden = byte === undefined || Number.isNaN(byte);
    tiles.byte.set(byte);
    const sockets = value("sockets");
    tiles.flight.set(value("flight"), sockets ? `and ${text(sockets, "")} websockets` : "being served now");
    tiles.busy.set(value("busy"), undefined, value("busy") > 0.9 ? "bad" : "");
    tiles.lag.set(value("lag"), undefined, value("lag") > 0.1 ? "warn" : "");
    const known = [...over.statuses].sort((one, other) => one.labels.class.localeCompare(other.labels.class));
    charts.statuses.set(known.map(({ labels, points }) => ({ name: labels.class, points })));
    charts.times.set(["p50", "p95", "p99"].flatMap((name) => over[name].map(({ points }) => ({ name, points }))));
    charts.errors.set(over.errors.map(({ points }) => ({ name: "share that failed", points })));
    this.showHealth(shown.checks);
    this.alerts.set(also.alerts);
    this.routes.show(now, over);
  }

  showHealth(checks) {
    this.checks.hidden = checks.length === 0;
    this.health.replaceChildren(...checks.map(({ name, isWell, isCritical }) =>
      make("li", {}, make("span", { className: `dot ${isWell ? "good" : isCritical ? "bad" : "warn"}` },
        `${name} ${isWell ? "is well" : "fails"}`))));
  }

  redraw() {
    for (const chart of Object.values(this.charts)) chart.draw();
    this.routes.redraw();
  }
}
