// What is shown, in the address: a link to it shows the same.

const DEFAULTS = { tab: "overview", span: "5m", sort: "-rate", filter: "", route: "", paused: "" };
const listeners = [];

function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  return Object.fromEntries(Object.entries(DEFAULTS).map(([key, value]) => [key, given.get(key) ?? value]));
}

export const state = read();

/** Changes what is shown, and the address; a step of its own in the browser's history where `step` is true. */
export function change(what, step = false) {
  Object.assign(state, what);
  const different = Object.entries(state).filter(([key, value]) => value !== DEFAULTS[key]);
  const hash = `#${new URLSearchParams(different)}`;
  if (hash !== (location.hash || "#")) history[step ? "pushState" : "replaceState"](null, "", hash);
  for (const call of listeners) call(what);
}

/** Calls it at every change. */
export const onChange = (call) => listeners.push(call);

addEventListener("hashchange", () => change(read()));
