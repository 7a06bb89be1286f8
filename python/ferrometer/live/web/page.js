// The page: which view is shown, and the loop that refreshes it.
import { SignedOut, configuration, session } from "./api.js";
import { by, make, say } from "./dom.js";
import { clock, zone } from "./format.js";
import { SPANS, forget, refresh, shown } from "./data.js";
import { change, onChange, state } from "./state.js";
import { Overview } from "./overview.js";
import { PanelView } from "./panels.js";
import { signIn } from "./signin.js";

let views = new Map();
let view = null;
let timer = 0;
let running = null;
let config = { title: "", panels: [] };
let access = { needs: "nothing", signed_in: true, expires: null };

async function start() {
  by("span").append(...Object.entries(SPANS).map(([value, { name }]) => make("option", { value }, name)));
  say(by("zone"), zone());
  by("span").addEventListener("change", () => change({ span: by("span").value }, true));
  by("pause").addEventListener("click", () => change({ paused: state.paused ? "" : "1" }));
  by("leave").addEventListener("click", leave);
  addEventListener("visibilitychange", () => (document.hidden ? stop() : soon(0)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => view?.redraw?.());
  access = await session();
  if (!access.signed_in) return signIn(access);
  by("leave").hidden = access.expires === null;
  config = await configuration();
  views = new Map([["overview", new Overview()]]);
  for (const panel of config.panels) views.set(panel.name, new PanelView(panel));
  onChange(apply);
  apply(state);
}

async function leave() {
  await fetch("ferrometer", { method: "POST", body: new URLSearchParams({ leave: "1" }), redirect: "manual" });
  location.reload();
}

function apply(what) {
  by("span").value = state.span in SPANS ? state.span : "5m";
  if ("span" in what) {
    shown.span = SPANS[by("span").value];
    forget();
  }
  const wanted = views.get(state.tab) ?? views.get("overview");
  if (wanted !== view) {
    view = wanted;
    by("main").replaceChildren(view.node);
  }
  by("pause").setAttribute("aria-pressed", String(Boolean(state.paused)));
  say(by("pause"), state.paused ? "Go on" : "Pause");
  tabs();
  if (["tab", "span", "route", "paused", "sort"].some((key) => key in what)) soon(0);
}

function tabs() {
  const known = [...views].filter(([, one]) => one === view || one.isThere(shown));
  const names = known.map(([name]) => name).join(" ");
  const list = by("tabs");
  if (list.dataset.names !== names) {
    list.dataset.names = names;
    list.replaceChildren(...known.map(([name, one]) => {
      const open = (event) => { event.preventDefault(); change({ tab: name }, true); };
      return make("li", {}, make("a", { href: `#tab=${encodeURIComponent(name)}`, on: { click: open } }, one.title));
    }));
  }
  known.forEach(([, one], at) => {
    const link = list.children[at].firstChild;
    if (one === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
}

function stop() {
  clearTimeout(timer);
  running?.abort();
}

function soon(seconds) {
  stop();
  if (!document.hidden) timer = setTimeout(round, seconds * 1000);
}

async function round() {
  if (access.expires && Date.now() / 1000 > access.expires) return out();
  const mine = (running = new AbortController());
  const [asked, span] = [view, shown.span];
  try {
    const found = await refresh(asked.wanted(), mine.signal);
    if (mine.signal.aborted || asked !== view || span !== shown.span) return;
    tell("");
    asked.show(found);
    header();
    tabs();
  } catch (problem) {
    if (mine.signal.aborted) return;
    if (problem instanceof SignedOut) return out();
    tell(problem instanceof TypeError ? "The server cannot be reached; trying again." : problem.message);
  }
  if (!state.paused && mine === running) soon(shown.span.every);
}

async function out() {
  stop();
  access = await session();
  signIn(access, "Your session has ended.");
}

function tell(words) {
  by("notice").hidden = words === "";
  say(by("notice"), words);
}

function header() {
  const name = config.title || shown.job || "Ferrometer";
  say(by("service"), name);
  document.title = `${name} · Ferrometer`;
  say(by("updated"), `${state.paused ? "Paused at" : "Updated"} ${clock(Date.now(), true)}`);
  if (!shown.alive) {
    by("state").className = "state warn";
    say(by("state"), shown.last ? `No process records; the last one did at ${clock(shown.last * 1000, true)}` : "Nothing is recorded yet");
  } else {
    const failing = shown.checks.filter(({ isWell }) => !isWell);
    const isDown = failing.some(({ isCritical }) => isCritical);
    by("state").className = `state ${isDown ? "bad" : failing.length ? "warn" : "good"}`;
    const words = failing.length ? `${isDown ? "Unhealthy" : "Degraded"}: ${failing.map(({ name }) => name).join(", ")}` : "Healthy";
    say(by("state"), shown.checks.length ? words : "Recording");
  }
}

start().catch((problem) => tell(`The page did not start: ${problem.message}`));
