"""The terminal's screen, by textual."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from ferrometer._runtime.panel import Table
from ferrometer.history.source import Source
from ferrometer.top import views

try:
    from rich.text import Text  # textual stands on it
    from textual.app import App, ComposeResult
    from textual.binding import Binding, BindingType
    from textual.widgets import DataTable, Footer, Input, Static
except ModuleNotFoundError:
    raise ModuleNotFoundError('ferrometer top needs textual: pip install "ferrometer[top]"') from None

#: Rows that a terminal is given; the filter finds the others.
_MOST = 1000


class Top(App[None]):
    """A table that is read anew every so many seconds, sorted and filtered by keys."""

    CSS = """
    #summary { height: 1; background: $boost; padding: 0 1; }
    #state { height: 1; color: $text-muted; padding: 0 1; }
    #filter { display: none; }
    #filter.open { display: block; }
    DataTable { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("right_square_bracket,n", "view(1)", "Next table", key_display="n"),
        Binding("left_square_bracket,b", "view(-1)", "Back", key_display="b"),
        Binding("s", "sort(1)", "Sort by"),
        Binding("S", "sort(-1)", "Sort by", show=False),
        Binding("r", "reverse", "Reverse"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("escape", "clear", "Clear", show=False),
        Binding("p", "pause", "Pause"),
        *(Binding(str(number), f"column({number - 1})", show=False) for number in range(1, 10)),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, source: Source, where: str, every: float = 2.0) -> None:
        super().__init__()
        self._source, self._where, self._every = source, where, every
        self._tables: Sequence[Table] = (views.ROUTES,)
        self._at = 0
        self._sort = len(views.ROUTES.by)
        self._down = True
        self._sought = ""
        self._shown = views.Shown()
        self._paused = False
        self._read_at = 0.0
        self._fault = ""
        self._looked = False

    @property
    def table(self) -> Table:
        """The one that is shown."""
        return self._tables[self._at]

    def compose(self) -> ComposeResult:
        """A line of figures, the table, what is going on, the keys."""
        yield Static(id="summary")
        yield Input(placeholder="words that a row has", id="filter")
        yield DataTable[Text](cursor_type="row", zebra_stripes=True)
        yield Static(id="state")
        yield Footer()

    def on_mount(self) -> None:
        """Begins to read."""
        self.query_one(DataTable).focus()
        self._lay()
        self.set_interval(self._every, self._again)
        self._again()

    def _again(self) -> None:
        if not self._paused:
            # The terminal goes on while a server thinks.
            self.run_worker(self._read, thread=True, exclusive=True, group="read")

    def _read(self) -> None:
        table = self.table
        try:
            shown = views.read(self._source, table)
            found = self._tables
            if not self._looked:
                found = views.present(self._source, views.tables(), shown.ended)
        except (OSError, ValueError) as error:
            self.call_from_thread(self._failed, str(error))
            return
        self.call_from_thread(self._take, table, shown, found)

    def _failed(self, words: str) -> None:
        self._fault = words
        self._say()

    def _take(self, table: Table, shown: views.Shown, found: Sequence[Table]) -> None:
        self._fault, self._read_at = "", time.time()
        if not self._looked and shown.rows:
            self._tables, self._looked = found, True
        if table is self.table:  # and nobody has turned the page since
            self._shown = shown
        self._lay()

    def _lay(self) -> None:
        grid = self.query_one(DataTable)
        place, left = grid.cursor_row, grid.scroll_x
        names = [*self.table.by, *(column.title for column in self.table.columns)]
        grid.clear(columns=True)
        for number, name in enumerate(names):
            mark = (" ▼" if self._down else " ▲") if number == self._sort else ""
            grid.add_column(f"{number + 1} {name}{mark}")
        rows = views.ordered(
            self._shown.rows, self._sort, down=self._down, sought=self._sought, table=self.table
        )
        labels = len(self.table.by)
        for row in rows[:_MOST]:
            texts = enumerate(views.cells(row, self.table))
            grid.add_row(*(Text(cell, justify="left" if at < labels else "right") for at, cell in texts))
        grid.move_cursor(row=min(place, max(0, len(rows) - 1)))
        grid.scroll_x = left
        self._say(len(rows))

    def _say(self, rows: int | None = None) -> None:
        figures = "   ".join(f"{name} {value}" for name, value in self._shown.summary)
        self.query_one("#summary", Static).update(Text(figures or "no figures yet"))
        count = "" if rows is None else f"{rows} of {len(self._shown.rows)} rows"
        parts = [f"{self.table.title} ({self._at + 1}/{len(self._tables)})", self._where, count]
        if self._sought:
            parts.append(f"filter: {self._sought}")
        if self._shown.ended is not None:
            parts.append(f"nobody records: as of {datetime.fromtimestamp(self._shown.ended):%m-%d %H:%M:%S}")
        if self._paused:
            parts.append("paused")
        if self._fault:
            since = f", figures of {datetime.fromtimestamp(self._read_at):%H:%M:%S}" if self._read_at else ""
            parts.append(f"no answer: {self._fault}{since}")
        self.query_one("#state", Static).update(Text("  ·  ".join(part for part in parts if part)))

    def action_view(self, step: int) -> None:
        """Another table."""
        self._at = (self._at + step) % len(self._tables)
        self._sort, self._down, self._shown = len(self.table.by), True, views.Shown(self._shown.summary)
        self._lay()
        self._again()

    def action_sort(self, step: int) -> None:
        """By the column beside this one."""
        self.action_column((self._sort + step) % (len(self.table.by) + len(self.table.columns)))

    def action_column(self, number: int) -> None:
        """By that column; by the same one again, the other way about."""
        if number >= len(self.table.by) + len(self.table.columns):
            return
        self._down = not self._down if number == self._sort else number >= len(self.table.by)
        self._sort = number
        self._lay()

    def action_reverse(self) -> None:
        """The other way about."""
        self._down = not self._down
        self._lay()

    def action_filter(self) -> None:
        """Asks for words."""
        box = self.query_one("#filter", Input)
        box.add_class("open")
        box.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters while they are typed."""
        self._sought = event.value
        self._lay()

    def on_input_submitted(self) -> None:
        """Goes back to the table."""
        self._close()

    def action_clear(self) -> None:
        """Without a filter."""
        self.query_one("#filter", Input).value = ""
        self._close()

    def _close(self) -> None:
        self.query_one("#filter", Input).remove_class("open")
        self.query_one(DataTable).focus()

    def action_pause(self) -> None:
        """Stands still, or goes on."""
        self._paused = not self._paused
        self._say()
        self._again()
