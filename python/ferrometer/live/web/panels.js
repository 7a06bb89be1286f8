// Views that features describe: tiles, lines and tables of expressions. They are there while their metrics are.
import { Lines } from "./chart.js";
import { shown, single } from "./data.js";
import { make } from "./dom.js";
import { text } from "./format.js";
import { Tile, card } from "./overview.js";

const fill = (expression) => expression.replaceAll("$window", shown.span.rate).replaceAll("$table", shown.span.table);
const name = (pattern, labels) => pattern.replace(/\{(\w+)\}/g, (_, label) => labels[label] ?? "");

export class PanelView {
  constructor({ title, when, tiles, charts, tables }) {
    this.title = title;
    this.when = new RegExp(`^(?:${when})$`);
    this.tiles = tiles.map((tile) => ({ ...tile, shown: new Tile(tile.title, tile.unit, tile.help) }));
    this.charts = charts.map((chart) => ({ ...chart, shown: new Lines(chart.title, chart.unit, { most: chart.most }) }));
    this.tables = tables.map((table) => ({ ...table, shown: new Table(table) }));
    for (const each of this.charts) each.card = card(each.title, each.shown.node);
    this.node = make("div", {}, make("h2", { className: "hidden" }, title));
    this.node.style.display = "contents";
    if (tiles.length) this.node.append((this.row = make("dl", { className: "tiles" }, ...this.tiles.map(({ shown: { node } }) => node))));
    if (charts.length) this.node.append(make("div", { className: "charts" }, ...this.charts.map((each) => each.card)));
    this.node.append(...this.tables.map(({ shown: { node } }) => node));
    this.nothing = make("p", { className: "empty", hidden: true }, "Nothing to show yet.");
    this.node.append(this.nothing);
  }

  isThere({ names }) {
    for (const each of names) if (this.when.test(each)) return true;
    return false;
  }

  wanted() {
    const now = {}, over = {};
    this.tiles.forEach(({ query }, at) => { now[`tile${at}`] = fill(query); });
    this.tables.forEach(({ columns }, at) => columns.forEach(({ query }, n) => { now[`table${at}.${n}`] = fill(query); }));
    this.charts.forEach(({ lines }, at) => lines.forEach(({ query }, n) => { over[`chart${at}.${n}`] = fill(query); }));
    return { now, over };
  }

  show({ now, over }) {
    let some = false;
    this.tiles.forEach(({ shown: tile }, at) => {
      const value = single(now[`tile${at}`]);
      tile.node.hidden = value === undefined;
      some ||= value !== undefined;
      tile.set(value);
    });
    this.charts.forEach(({ lines, shown: chart, card: around }, at) => {
      const all = lines.flatMap(({ legend }, n) => over[`chart${at}.${n}`].map(({ labels, points }) => ({ name: name(legend, labels), points })));
      all.sort((one, other) => (lines.length > 1 ? 0 : one.name.localeCompare(other.name, undefined, { numeric: true })));
      around.hidden = all.length === 0;
      some ||= all.length > 0;
      chart.set(all);
    });
    this.tables.forEach(({ columns, shown: table }, at) => {
      some = table.set(columns.map((_, n) => now[`table${at}.${n}`])) || some;
    });
    this.nothing.hidden = some;
  }

  redraw() {
    for (const { shown: chart } of this.charts) chart.draw();
  }
}

class Table {
  constructor({ title, by, columns }) {
    this.by = by;
    this.columns = columns;
    this.body = make("tbody");
    const heads = [...by.map((label) => make("th", { scope: "col", className: "text" }, label)), ...columns.map((column) => make("th", { scope: "col" }, column.title))];
    this.node = card(title, make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": title },
      make("table", {}, make("thead", {}, make("tr", {}, ...heads)), this.body)));
  }

  set(answers) {
    const rows = new Map();
    answers.forEach((entries, n) => {
      for (const { labels, value } of entries) {
        const key = JSON.stringify(this.by.map((label) => labels[label] ?? ""));
        if (!rows.has(key)) rows.set(key, []);
        rows.get(key)[n] = value;
      }
    });
    this.node.hidden = rows.size === 0;
    const sorted = [...rows].sort(([one], [other]) => one.localeCompare(other, undefined, { numeric: true })).slice(0, 500);
    this.body.replaceChildren(...sorted.map(([key, values]) => make("tr", {},
      ...JSON.parse(key).map((word) => make("td", { className: "text" }, word || "–")),
      ...this.columns.map(({ unit, good }, n) => {
        const shownAs = good === undefined || values[n] === undefined ? text(values[n], unit)
          : make("span", { className: `dot ${values[n] === good ? "good" : "bad"}` }, values[n] === good ? "yes" : "no");
        return make("td", {}, shownAs);
      }))));
    return rows.size > 0;
  }
}
