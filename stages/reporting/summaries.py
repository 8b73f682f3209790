"""Summaries kept in `results/summaries/`: numbers over several runs, or of a run whose files are gone, and their tables."""

from pathlib import Path

from pydantic import Field, ValidationError

from pag.base.errors import InputError
from pag.base.json_files import read_json
from pag.base.vocabulary import Method
from pag.figures.names import percent
from pag.page.report import Column, Entry, Table
from stages.params.section import NonNegative, Section
from stages.reporting.paper_tables import measure_name

__all__ = ["SUMMARIES", "Summary", "read_summary", "summary_table"]

SUMMARIES = Path("results/summaries")


class Spread(Section):
    """A mean over runs with its standard deviation and, where it was kept, the range; of one run the mean alone."""

    mean: float
    sd: NonNegative | None = None
    range: tuple[float, float] | None = Field(None, strict=False)


class SummaryRow(Section):
    """A method with what was measured, by the dotted names of `metrics.json` or, for cosines of training, in words."""

    method: Method
    lambda_: NonNegative | None = Field(alias="lambda")
    measures: dict[str, Spread]


class Summary(Section):
    """A file of `results/summaries/` (`results/README.md`).

    Attributes:
        title: what the table shows.
        source: where its numbers come from.
        seeds: of the runs.
        columns: the measures in order, each with its conditions (ε, n).
        rows: in order.
    """

    title: str
    source: str
    seeds: list[int] = Field(min_length=1)
    columns: dict[str, str]
    rows: list[SummaryRow]


def read_summary(path: Path) -> Summary:
    """Reads a summary.

    Raises:
        InputError: it is missing, or a key is unknown, missing or of a wrong type; the sentence names both.
    """
    try:
        return Summary.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}.") from None


def summary_table(summary: Summary) -> Table:
    """A row for each method, a column for each measure."""
    heads = (Column("Method"), *(Column(measure_name(name), detail) for name, detail in summary.columns.items()))
    rows = tuple(
        (_label(row), *(_entry(name, row.measures.get(name)) for name in summary.columns)) for row in summary.rows
    )
    seeds = f"seed{'s' if len(summary.seeds) > 1 else ''} {', '.join(map(str, summary.seeds))}"
    return Table(f"{summary.title}; {seeds}.", heads, rows)


def _label(row: SummaryRow) -> Entry:
    return Entry(row.method.label, "" if row.lambda_ is None else f"λ = {row.lambda_:g}")


def _entry(name: str, spread: Spread | None) -> Entry:
    """`34.2% ± 0.8`, `0.914 ± 0.004`; below it the range."""
    if spread is None:
        return Entry("–")
    cosine = name.endswith(("alignment", "cosine"))
    written = "{:.3f}".format if cosine else percent
    text = written(spread.mean)
    if spread.sd is not None:
        text += f" ± {spread.sd:.3f}" if cosine else f" ± {100 * spread.sd:.1f}"
    return Entry(text, "" if spread.range is None else f"[{' to '.join(map(written, spread.range))}]")
