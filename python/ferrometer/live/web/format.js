// Numbers and times as people read them. Every unit that a panel may name is here.

const NOTHING = "–";

function rounded(value) {
  const size = Math.abs(value);
  if (Number.isInteger(value) && size < 9999.5) return String(value);
  if (size >= 9999.5) return Math.round(value).toLocaleString("en").replaceAll(",", "\u202f");
  if (size >= 99.95) return value.toFixed(0);
  if (size >= 9.995) return value.toFixed(1);
  if (size >= 0.01) return value.toFixed(2);
  return value.toPrecision(2).replace(/e(.)(\d)$/, "e$10$2");
}

function scaled(value, steps) {
  const size = Math.abs(value);
  const step = steps.find(([, from]) => size >= from) ?? steps.at(-1);
  return [rounded(value / step[1]), step[0]];
}

const SECONDS = [["d", 86400 * 2], ["h", 7200], ["min", 120], ["s", 1], ["ms", 1e-3], ["µs", 1e-6]];
const DAY = { d: 86400, h: 3600, min: 60, s: 1, ms: 1e-3, "µs": 1e-6 };
const BYTES = [["TiB", 2 ** 40], ["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10], ["B", 1]];
const COUNTS = [["G", 1e9], ["M", 1e6], ["", 1]];

function seconds(value) {
  const size = Math.abs(value);
  const [unit] = SECONDS.find(([, from]) => size >= from) ?? (size === 0 ? ["s"] : SECONDS.at(-1));
  return [rounded(value / DAY[unit]), unit];
}

const UNITS = {
  "s": seconds,
  "B": (value) => scaled(value, BYTES),
  "B/s": (value) => { const [text, unit] = scaled(value, BYTES); return [text, `${unit}/s`]; },
  "/s": (value) => [rounded(value), "/s"],
  "ratio": (value) => [rounded(value * 100), "%"],
  "%": (value) => [rounded(value), "%"],
  "usd": (value) => [`$${value.toFixed(Math.abs(value) < 10 ? 4 : 2)}`, ""],
  "°C": (value) => [rounded(value), "°C"],
  "W": (value) => [rounded(value), "W"],
  "bool": (value) => [value ? "yes" : "no", ""],
  "time": (value) => [clock(value * 1000, true), ""],
  "": (value) => scaled(value, COUNTS),
};

/** The number and its unit; a number that is none is a dash. */
export function parts(value, unit) {
  if (value === undefined || value === null || Number.isNaN(value)) return [NOTHING, ""];
  if (!Number.isFinite(value)) return [value > 0 ? "∞" : "−∞", ""];
  return (UNITS[unit] ?? ((number) => [rounded(number), unit]))(value);
}

/** Both in one text. */
export function text(value, unit) {
  const [number, name] = parts(value, unit);
  return name === "" || name === "%" || name === "/s" ? number + name : `${number}\u00a0${name}`;
}

/** The same on an axis: no more digits than its step needs. */
export function mark(value, unit) {
  if (value === 0) return "0";
  const [number, name] = parts(value, unit);
  const short = number.includes(".") ? number.replace(/\.?0+$/, "") : number;
  return name === "" || name === "%" || name === "/s" ? short + name : `${short}\u00a0${name}`;
}

/** A time of day in the viewer's zone; with the date where it is another day. */
export function clock(ms, withSeconds) {
  const at = new Date(ms);
  const form = { hour: "2-digit", minute: "2-digit", hour12: false };
  if (withSeconds) form.second = "2-digit";
  if (at.toDateString() !== new Date().toDateString()) Object.assign(form, { day: "numeric", month: "short" });
  return at.toLocaleString(undefined, form);
}

/** The viewer's zone. */
export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone ?? "local time";

/** A duration of PromQL as people read it: 15s is "15 s", 5m "5 min". */
export const words = (duration) => duration.replace(/^(\d+)(s|m|h)$/, (_, number, unit) => `${number}\u00a0${{ s: "s", m: "min", h: "h" }[unit]}`);
