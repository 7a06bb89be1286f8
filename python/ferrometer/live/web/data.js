// What the views ask for: values of this moment, and series over the time that is shown. Series are kept, so that a
// refresh asks for what is new only.
import { batch } from "./api.js";

/** The times that can be shown: how far back, a point how often, and the windows of rates and of tables, by what the
 * history keeps (1 s for 5 min, 10 s for an hour, 60 s for a day). Histograms have their bins within an hour. */
export const SPANS = {
  "5m": { name: "5 minutes", seconds: 300, step: 2, rate: "15s", table: "1m", every: 2, bins: true },
  "15m": { name: "15 minutes", seconds: 900, step: 10, rate: "1m", table: "5m", every: 5, bins: true },
  "1h": { name: "1 hour", seconds: 3600, step: 30, rate: "1m", table: "5m", every: 10, bins: true },
  "6h": { name: "6 hours", seconds: 21600, step: 180, rate: "5m", table: "15m", every: 30, bins: false },
  "24h": { name: "24 hours", seconds: 86400, step: 600, rate: "15m", table: "1h", every: 60, bins: false },
};
/** Beyond so many routes percentiles come from the buckets, which cost a tenth. */
const MANY = 150;

/** What the health checks found, as far as it is not too old to say something. */
const HEALTH = "ferrometer_health_check and (time() - ferrometer_health_check_timestamp_seconds < 90)";
const CRITICAL = "ferrometer_health_check_critical";

const kept = new Map();
export const shown = { now: 0, span: SPANS["5m"], routes: 0, names: new Set(), job: "", alive: true, last: 0, checks: [] };
let rounds = 0;

/** Forgets the series: another time is shown. */
export function forget() {
  kept.clear();
}

/** Whether percentiles are those of the bins, and not of the buckets. */
export const exact = () => shown.span.bins && shown.routes <= MANY;

/** A percentile of a histogram family, by labels, within a window. */
export function quantile(q, family, window, labels = "", matchers = "", fine = exact()) {
  const grouped = (more) => (more || labels ? ` by (${[more, labels].filter(Boolean).join(", ")})` : "");
  const name = fine ? family : `${family}_bucket`;
  return `histogram_quantile(${q}, sum${grouped(fine ? "" : "le")} (rate(${name}${matchers}[${window}])))`;
}

/** A label's value as PromQL writes it. */
export const quote = (text) => JSON.stringify(text);

function range(expression, schema) {
  const { seconds, step } = shown.span;
  const end = Math.floor((shown.now - 0.4) / step) * step;
  const key = `${schema ?? ""} ${expression}`;
  const known = kept.get(key);
  const from = end - Math.floor(seconds / step) * step;
  const start = known && known.end >= from ? known.end + step : from;
  if (!known || known.end < from) kept.set(key, { end: start - step, series: new Map() });
  const entry = kept.get(key);
  entry.used = rounds;
  if (start > end) return null;
  const parameters = { query: expression, start, end, step, lookback_delta: seconds > 3600 ? "3m" : "30s" };
  if (schema !== undefined) parameters.histogram_schema = schema;
  return { key, end, from, request: ["query_range", parameters] };
}

function merge({ key, end, from }, data) {
  const entry = kept.get(key);
  if (!entry || !data) return;
  entry.end = end;
  for (const { metric, values, histograms } of data.result) {
    const name = JSON.stringify(metric);
    let series = entry.series.get(name);
    if (!series) entry.series.set(name, (series = { labels: metric, points: new Map() }));
    for (const [at, value] of values ?? []) series.points.set(at, Number(value));
    for (const [at, histogram] of histograms ?? []) series.points.set(at, histogram);
  }
  for (const [name, series] of entry.series) {
    for (const at of series.points.keys()) {
      if (at >= from) break;
      series.points.delete(at);
    }
    if (series.points.size === 0) entry.series.delete(name);
  }
}

/** The series of an expression as they are known: labels, and points by their time. */
function seriesOf(expression, schema) {
  const entry = kept.get(`${schema ?? ""} ${expression}`);
  return entry ? [...entry.series.values()] : [];
}

/** One refresh: `wanted` names expressions; returns their values and series by the same names. */
export async function refresh(wanted, signal) {
  rounds += 1;
  // What has no sample for some ticks is gone: a worker that was killed leaves no word behind.
  const time = { lookback_delta: "10s", ...(shown.alive || !shown.last ? {} : { time: shown.last }) };
  if (!shown.now) {
    // The first look: whose clock it is, and whether anybody still records.
    const [clock, targets] = await batch([["query", { query: "time()" }], ["targets", {}]], signal);
    about(clock, targets);
    if (!shown.alive && shown.last) time.time = shown.last;
  }
  const requests = [["query", { query: "time()" }], ["targets", {}], ["query", { query: HEALTH, ...time }], ["query", { query: CRITICAL, ...time }]];
  const looks = rounds % 5 === 1;
  if (looks) {
    requests.push(["label/__name__/values", { start: (time.time ?? shown.now) - 300 }]);
    requests.push(["query", { query: "count(count by (method, endpoint) (http_requests_total))", ...time }]);
  }
  const instants = Object.entries(wanted.now ?? {});
  const first = requests.length;
  for (const [, expression] of instants) requests.push(["query", { query: expression, ...time }]);
  const ranges = [];
  for (const expression of Object.values(wanted.over ?? {})) {
    const asked = typeof expression === "string" ? range(expression) : range(expression.query, expression.schema);
    if (asked) ranges.push(asked);
  }
  const others = Object.entries(wanted.also ?? {});
  const answers = await batch(
    [...requests, ...ranges.map(({ request }) => request), ...others.map(([, request]) => request)], signal);
  about(answers[0], answers[1]);
  health(vector(answers[2]), vector(answers[3]));
  if (looks) {
    shown.names = new Set(answers[4] ?? []);
    shown.routes = Number(answers[5]?.result[0]?.value[1] ?? 0);
  }
  const found = { now: {}, over: {}, also: {} };
  instants.forEach(([name], at) => { found.now[name] = vector(answers[first + at]); });
  ranges.forEach((asked, at) => merge(asked, answers[first + instants.length + at]));
  for (const [name, expression] of Object.entries(wanted.over ?? {})) {
    found.over[name] = typeof expression === "string" ? seriesOf(expression) : seriesOf(expression.query, expression.schema);
  }
  others.forEach(([name], at) => { found.also[name] = answers[first + instants.length + ranges.length + at]; });
  for (const [key, entry] of kept) if (entry.used < rounds - 3) kept.delete(key);
  return found;
}

function about(clock, targets) {
  const target = targets?.activeTargets[0];
  const last = Date.parse(target?.lastScrape ?? "") / 1000;
  shown.last = last > 0 ? last : 0;
  shown.alive = target?.health === "up";
  shown.job = target?.labels.job ?? "";
  const now = Number(clock?.result[1] ?? Date.now() / 1000);
  shown.now = shown.alive || !shown.last ? now : shown.last;
}

function health(checks, critical) {
  const decisive = new Set(critical.filter(({ value }) => value === 1).map(({ labels }) => labels.check));
  shown.checks = checks.map(({ labels: { check }, value }) => ({ name: check, isWell: value === 1, isCritical: decisive.has(check) }));
}

function vector(data) {
  if (!data) return [];
  if (data.resultType === "scalar") return [{ labels: {}, value: Number(data.result[1]) }];
  return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value?.[1]) }));
}

/** The one value of a vector; undefined where there is none. */
export const single = (entries) => entries?.[0]?.value;
