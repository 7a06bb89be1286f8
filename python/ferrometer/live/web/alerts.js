// Alerts that fire or are about to, and silences: set, shown and ended here.
import { make, say } from "./dom.js";
import { clock, text } from "./format.js";

const HOURS = 2;

/** Asks the API of silences; what went wrong is thrown as words. */
async function ask(path, method, told) {
  const body = told && JSON.stringify(told);
  const response = await fetch(`api/v2/${path}`, { method, body, headers: { "Content-Type": "application/json" } });
  if (!response.ok) throw new Error(response.status === 404 ? "Silences cannot be set here." : `The server answers ${response.status}.`);
}

export class Alerts {
  constructor() {
    this.list = make("tbody");
    const heads = ["Alert", "State", "Since", "Value", "Silence"].map((name, at) => make("th", { scope: "col", className: at < 2 ? "text" : "" }, name));
    this.title = make("h2", {}, "Alerts");
    this.said = make("p", { role: "status", className: "soft" });
    this.node = make("section", { className: "card", hidden: true }, make("header", {}, this.title), this.said,
      make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Alerts" },
        make("table", {}, make("thead", {}, make("tr", {}, ...heads)), this.list)));
  }

  set(data) {
    const alerts = data?.alerts ?? [];
    // As it was: whoever is about to press a button finds it where it was.
    const seen = JSON.stringify(data ?? null);
    if (seen === this.seen) return;
    this.seen = seen;
    this.node.hidden = alerts.length === 0;
    const count = (of) => alerts.filter(of).length;
    const silent = count(({ silenced }) => silenced);
    say(this.title, `Alerts: ${count(({ state, silenced }) => state === "firing" && !silenced)} firing, ${count(({ state }) => state === "pending")} pending${silent ? `, ${silent} silenced` : ""}`);
    const order = ({ state, silenced }) => (silenced ? 2 : state === "firing" ? 0 : 1);
    const rows = [...alerts].sort((one, other) => order(one) - order(other)).slice(0, 100);
    const focused = document.activeElement?.dataset?.key;
    this.list.replaceChildren(...rows.map((alert) => this.row(alert, data.silences)));
    if (focused) [...this.list.querySelectorAll("button")].find(({ dataset }) => dataset.key === focused)?.focus();
  }

  row({ labels, annotations, state, activeAt, value, silenced, silencedBy = [], inhibited }, silences) {
    const rest = Object.entries(labels).filter(([name]) => name !== "alertname").map(([name, word]) => `${name}=${word}`).join(" ");
    const link = /^https?:\/\//.test(annotations?.runbook_url ?? "") ? [" ", make("a", { href: annotations.runbook_url, rel: "noreferrer" }, "runbook")] : [];
    const word = silencedBy.length ? "silenced" : inhibited ? "inhibited" : state;
    return make("tr", {},
      make("td", { className: "text" }, make("strong", {}, labels.alertname ?? ""), ` ${annotations?.summary ?? annotations?.description ?? rest}`, ...link),
      make("td", { className: "text" }, make("span", { className: `dot ${silenced ? "soft" : state === "firing" ? "bad" : "warn"}` }, word)),
      make("td", {}, clock(Date.parse(activeAt), true)),
      make("td", {}, text(Number(value), "")),
      make("td", {}, ...(silences ? [this.button(labels, silencedBy, rest)] : [])));
  }

  button(labels, ids, rest) {
    const name = `${labels.alertname ?? ""} ${rest}`;
    const call = ids.length ? () => this.end(ids) : () => this.silence(labels);
    const made = make("button", { type: "button", "aria-label": ids.length ? `End the silence of ${name}` : `Silence ${name} for ${HOURS} hours`, on: { click: call } },
      ids.length ? "End" : "Silence");
    made.dataset.key = name;
    return made;
  }

  async silence(labels) {
    const now = Date.now();
    const matchers = Object.entries(labels).map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }));
    await this.tried(() => ask("silences", "POST", {
      matchers, startsAt: new Date(now).toISOString(), endsAt: new Date(now + HOURS * 3600e3).toISOString(), createdBy: "page", comment: "set on the live page",
    }), `Silenced for ${HOURS} hours.`);
  }

  async end(ids) {
    await this.tried(async () => { for (const id of ids) await ask(`silence/${id}`, "DELETE"); }, "The silence has ended.");
  }

  async tried(call, words) {
    try {
      await call();
      say(this.said, words);
    } catch (error) {
      say(this.said, error.message);
    }
  }
}
