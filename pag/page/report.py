"""The report as a value: answers, sections of text, tables and figures, a glossary. It knows nothing of its form."""

import math
import re
from dataclasses import dataclass, field

__all__ = [
    "Answer",
    "Chart",
    "Column",
    "Entry",
    "Explorer",
    "Findings",
    "Picture",
    "PictureRow",
    "Report",
    "Run",
    "Section",
    "Table",
    "Term",
    "anchor",
]

WIDEST = 10  # columns of a picture, which a page of usual width holds


@dataclass(frozen=True)
class Column:
    """The head of a column: its name and, in smaller type, its conditions (ε, n), a line each; `prose` is text that may wrap."""

    name: str
    detail: str = ""
    prose: bool = False


@dataclass(frozen=True)
class Entry:
    """An entry of a table: the number and, in smaller type, its interval; the best of a column is bold.

    Attributes:
        doubt: why the number is not to be believed; the page shows both in red.
        timed: stages whose mean time, where `run.js` has it, the page shows below.
        commands: of a shell; folded away.
        note: what it means, which the page alone shows.
    """

    text: str
    detail: str = ""
    bold: bool = False
    doubt: str = ""
    timed: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first column names the rows.

    Attributes:
        caption: what it shows, with the number that it has in the paper.
        columns: heads.
        rows: as many entries as columns in each.
        sortable: whether a reader can sort the rows.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Entry, ...], ...]
    sortable: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart with the numbers behind it.

    Attributes:
        svg: to stand in the page; a mark shows its `data-text` when it is pointed at.
        caption: what it shows, with the number that it has in the paper.
        alt: the same for those who do not see it.
        table: the same numbers; its caption is the chart's.
        png: where a copy for papers is; empty where there is none.
    """

    svg: str
    caption: str
    alt: str
    table: Table
    png: str = ""

    @property
    def anchor(self) -> str:
        """Of its place on the page; empty where there is no copy, by which it is called."""
        return anchor(self.png)


@dataclass(frozen=True)
class Term:
    """An entry of the glossary.

    Attributes:
        short: the word that tables and sentences use: `SBG`.
        name: in full: score-based gradients.
        meaning: in a sentence.
        where: the section or equation of the paper, or whose it is else.
        linked: whether the word leads to its entry where it stands in a text; not words that stand in every sentence.
    """

    short: str
    name: str
    meaning: str
    where: str = ""
    linked: bool = True

    @property
    def anchor(self) -> str:
        """Of its place in the glossary."""
        return f"term-{anchor(self.short)}"


@dataclass(frozen=True)
class PictureRow:
    """A row of a picture: what is named, a PNG for each column, of few pixels, to be shown enlarged, and numbers after them."""

    name: str
    tiles: tuple[bytes, ...]
    numbers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """Small images in rows and columns.

    Attributes:
        caption: what it shows, with the number that it has in the paper.
        above: what the columns are.
        columns: their heads.
        rows: each with a tile for each column; with a label, the input's before them.
        label: the class of the input of all; empty where there is none.
        measures: the heads of the rows' numbers, robust accuracies.
        copy: where a copy for papers is; empty where there is none.
    """

    caption: str
    above: str
    columns: tuple[str, ...]
    rows: tuple[PictureRow, ...]
    label: str = ""
    measures: tuple[str, ...] = ()
    copy: str = ""

    @property
    def bands(self) -> tuple[tuple[int, ...], ...]:
        """The indices of columns that stand beside each other; further ones go below."""
        count = len(self.columns)
        beside = math.ceil(count / math.ceil(count / WIDEST))
        return tuple(tuple(range(start, min(start + beside, count))) for start in range(0, count, beside))


@dataclass(frozen=True)
class Explorer:
    """What `explorer.js` shows.

    Attributes:
        data: JSON.
    """

    data: str

    @property
    def text(self) -> str:
        """The same, with no character that could end the element that it stands in."""
        return self.data.replace("<", "\\u003c")


@dataclass(frozen=True)
class Findings:
    """Sentences of one topic, and the chart that shows what they speak of.

    Attributes:
        title: the topic.
        sentences: at least one.
        shows: what the chart shows; empty where there is none.
        anchor: its place on the page.
    """

    title: str
    sentences: tuple[str, ...]
    shows: str = ""
    anchor: str = ""


@dataclass(frozen=True)
class Answer:
    """The answer for one part of what was run.

    Attributes:
        place: which part: `digits, resnet8`.
        verdict: in a sentence.
        basis: how sure it is.
        picture: what it looks like; None where there is nothing to draw.
        table: the numbers.
        findings: the rest that can be said.
        explorer: of the networks; None where there is nothing to explore.
    """

    place: str
    verdict: str
    basis: str = ""
    picture: Picture | None = None
    table: Table | None = None
    findings: tuple[Findings, ...] = ()
    explorer: Explorer | None = None


@dataclass(frozen=True)
class Section:
    """A part of the page: text, then tables, charts and pictures; `more` pictures are folded away."""

    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    more: tuple[Picture, ...] = ()
    charts: tuple[Chart, ...] = ()

    @property
    def anchor(self) -> str:
        """Of its place on the page."""
        return anchor(self.title)


@dataclass(frozen=True)
class Run:
    """What was run.

    Attributes:
        settings: by name: versions, seeds.
        cells: each with the commands that run it again.
        parameters: YAML, of what was run alone.
        files: beside the page, with what is in them.
    """

    settings: tuple[tuple[str, str], ...] = ()
    cells: Table | None = None
    parameters: str = ""
    files: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Report:
    """The whole report.

    Attributes:
        title: the question.
        answers: for each part of what was run; the first is what a reader sees first.
        sections: in order.
        run: what was run.
        glossary: of the words that stand in it.
    """

    title: str
    answers: tuple[Answer, ...] = ()
    sections: tuple[Section, ...] = ()
    run: Run = field(default_factory=Run)
    glossary: tuple[Term, ...] = ()


def anchor(title: str) -> str:
    """A title as an identifier: letters, digits and hyphens."""
    return re.sub(r"\W+", "-", title.lower()).strip("-")
