// Alerts that fire or are about to.
import { make, say } from "./dom.js";
import { clock, text } from "./format.js";

export class Alerts {
  constructor() {
    this.list = make("tbody");
    const heads = ["Alert", "State", "Since", "Value"].map((name, at) => make("th", { scope: "col", className: at < 2 ? "text" : "" }, name));
    this.title = make("h2", {}, "Alerts");
    this.node = make("section", { className: "card", hidden: true }, make("header", {}, this.title),
      make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "Alerts" },
        make("table", {}, make("thead", {}, make("tr", {}, ...heads)), this.list)));
  }

  set(data) {
    const alerts = data?.alerts ?? [];
    this.node.hidden = alerts.length === 0;
    say(this.title, `Alerts: ${alerts.filter(({ state }) => state === "firing").length} firing, ${alerts.filter(({ state }) => state === "pending").length} pending`);
    const order = { firing: 0, pending: 1 };
    const rows = [...alerts].sort((one, other) => (order[one.state] ?? 2) - (order[other.state] ?? 2)).slice(0, 100);
    this.list.replaceChildren(...rows.map(({ labels, annotations, state, activeAt, value, silenced }) => {
      const rest = Object.entries(labels).filter(([name]) => name !== "alertname").map(([name, word]) => `${name}=${word}`).join(" ");
      const link = /^https?:\/\//.test(annotations?.runbook_url ?? "") ? [" ", make("a", { href: annotations.runbook_url, rel: "noreferrer" }, "runbook")] : [];
      return make("tr", {},
        make("td", { className: "text" }, make("strong", {}, labels.alertname ?? ""), ` ${annotations?.summary ?? annotations?.description ?? rest}`, ...link),
        make("td", { className: "text" }, make("span", { className: `dot ${silenced ? "soft" : state === "firing" ? "bad" : "warn"}` }, silenced ? "silenced" : state)),
        make("td", {}, clock(Date.parse(activeAt), true)),
        make("td", {}, text(Number(value), "")));
    }));
  }
}
