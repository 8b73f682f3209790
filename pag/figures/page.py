"""The report as a value, and its two forms: a page in one file and tables in Markdown. Both depend on the value alone."""

import base64
from dataclasses import dataclass, field
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

__all__ = [
    "Column",
    "Entry",
    "FigureEntry",
    "Item",
    "Report",
    "Section",
    "Table",
    "markdown_table",
    "render_html",
    "render_markdown",
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


def render_html(report: Report) -> str:
    """The page: figures inside, nothing from outside but `times.js`, which may stand beside it."""
    template = files("pag.figures").joinpath("page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(template).render(report=report)


def render_markdown(report: Report) -> str:
    """The answers, all tables and all lists."""
    parts = [f"# {report.title}"]
    parts += [f"**{_escaped(name)}** {_escaped(' '.join(sentences))}" for name, sentences in report.answers]
    for section in report.sections:
        if section.tables or section.items:
            parts.append(f"## {_escaped(section.title)}")
            parts += [markdown_table(table) for table in section.tables]
        if section.items:
            parts.append("\n".join(_markdown_item(item) for item in section.items))
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Text that Markdown shows as it stands, inside a table too."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", ", ")


def markdown_table(table: Table) -> str:
    """A table in Markdown, its caption above it."""
    lines = [
        _line(
            [_escaped(f"{column.name}, {column.detail}" if column.detail else column.name) for column in table.columns]
        )
    ]
    lines.append(_line([":--", *["--:"] * (len(table.columns) - 1)]))
    lines += [_line([_markdown_entry(entry) for entry in row]) for row in table.rows]
    return f"{_escaped(table.caption)}\n\n" + "\n".join(lines)


def _markdown_item(item: Item) -> str:
    return "\n".join([f"- {_escaped(item.text)}", *(f"  - `{command}`" for command in item.commands)])


def _markdown_entry(entry: Entry) -> str:
    text = f"**{_escaped(entry.text)}**" if entry.bold else _escaped(entry.text)
    details = (entry.detail, f"✗ {entry.doubt}" if entry.doubt else "")
    return " ".join([text, *(_escaped(detail) for detail in details if detail)])


def _line(entries: list[str]) -> str:
    return f"| {' | '.join(entries)} |"
