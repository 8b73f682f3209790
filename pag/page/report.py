"""The report as a value: sections of text, tables and figures, which know nothing of their form."""

import base64
from dataclasses import dataclass, field

__all__ = [
    "Column",
    "Entry",
    "FigureEntry",
    "Item",
    "Report",
    "Section",
    "Table",
]

PIXELS_PER_CSS_PIXEL = 200 / 96  # figures are drawn at 200 dots an inch
WIDE = 520  # CSS pixels from which a figure scrolls on a phone instead of shrinking


@dataclass(frozen=True)
class Column:
    """The head of a column: its name and, in smaller type, its conditions (ε, n), a line each."""

    name: str
    detail: str = ""


@dataclass(frozen=True)
class Entry:
    """An entry of a table: the number and, in smaller type, its interval; the best of a column is bold.

    Attributes:
        doubt: why the number is not to be believed; the page shows both in red.
        timed: stages whose mean time, where `times.js` has it, the page shows below.
    """

    text: str
    detail: str = ""
    bold: bool = False
    doubt: str = ""
    timed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    """A table; the first column names the rows.

    Attributes:
        caption: what it shows, with the number that it has in the paper.
        columns: heads.
        rows: as many entries as columns in each.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Entry, ...], ...]


@dataclass(frozen=True)
class FigureEntry:
    """A figure.

    Attributes:
        png: the file's bytes.
        caption: what it shows, with the number that it has in the paper.
        alt: the same for those who do not see it.
    """

    png: bytes
    caption: str
    alt: str

    @property
    def source(self) -> str:
        """The figure as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode('ascii')}"

    @property
    def width(self) -> int:
        """In CSS pixels, from the PNG's header."""
        return round(int.from_bytes(self.png[16:20]) / PIXELS_PER_CSS_PIXEL)

    @property
    def height(self) -> int:
        """In CSS pixels, from the PNG's header."""
        return round(int.from_bytes(self.png[20:24]) / PIXELS_PER_CSS_PIXEL)

    @property
    def wide(self) -> bool:
        """Whether it scrolls in a box of its own on a narrow screen."""
        return self.width > WIDE


@dataclass(frozen=True)
class Item:
    """A line of a list: a text, and the commands that it speaks of."""

    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A part of the page: text, then tables, then figures; `more` figures and the list of `items` are folded away."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[FigureEntry, ...] = ()
    more: tuple[FigureEntry, ...] = ()
    items: tuple[Item, ...] = ()


@dataclass(frozen=True)
class Report:
    """The whole report.

    Attributes:
        title: the question.
        answers: for each part of the grid, by its name, the answer in sentences.
        sections: in order.
        settings: what was run, by name: versions, seed.
        parameters: YAML.
        times_file: where wall-clock times are, for a page without `times.js` beside it.
    """

    title: str
    answers: tuple[tuple[str, tuple[str, ...]], ...]
    sections: tuple[Section, ...]
    settings: tuple[tuple[str, str], ...]
    parameters: str
    times_file: str = field(default="data/times.jsonl")
