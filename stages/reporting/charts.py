"""Charts between `visualize`, which draws them, and the page: an SVG, a PNG for papers, and the table of their numbers."""

from pathlib import Path
from xml.etree import ElementTree

from pydantic import BaseModel, ValidationError

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.base.json_files import read_json, write_json
from pag.figures import vega
from pag.page.report import Chart, Column, Entry, Table

__all__ = ["page_chart", "read_chart", "save_chart"]

Texts = tuple[str, ...]
NAMESPACE = ' xmlns="http://www.w3.org/2000/svg"'  # which a file needs, and HTML does not


class _Numbers(BaseModel):
    columns: Texts
    rows: tuple[Texts, ...]


def save_chart(chart: vega.Chart, folder: Path, name: str) -> None:
    """Writes `<name>.svg`, `<name>.png` and, for the table, `<name>.json`."""
    with written_whole(folder / f"{name}.svg") as partial:
        partial.write_text(chart.svg().replace("<svg", f"<svg{NAMESPACE}", 1), encoding="utf-8")
    with written_whole(folder / f"{name}.png") as partial:
        partial.write_bytes(chart.png())
    write_json(folder / f"{name}.json", {"columns": chart.columns, "rows": chart.rows})


def read_chart(folder: Path, name: str, caption: str, alt: str) -> Chart:
    """A chart that `save_chart` wrote, for the page.

    Raises:
        InputError: a file is missing or damaged.
    """
    svg, numbers = folder / f"{name}.svg", folder / f"{name}.json"
    try:
        table = _Numbers.model_validate(read_json(numbers))
        drawn = _whole(svg.read_text(encoding="utf-8").replace(NAMESPACE, "", 1))
    except FileNotFoundError:
        raise InputError(f"{svg} does not exist; run `pag visualize` again.") from None
    except (ValidationError, UnicodeDecodeError, ElementTree.ParseError):
        raise InputError(f"{numbers} or the chart beside it is damaged; run `pag visualize` again.") from None
    return Chart(drawn, caption, alt, _table(table.columns, table.rows), str(folder / f"{name}.png"))


def _whole(svg: str) -> str:
    """The same, where it is an SVG from its first to its last letter.

    Raises:
        ParseError: it is not.
    """
    if ElementTree.fromstring(svg).tag != "svg" or not svg.startswith("<svg "):
        raise ElementTree.ParseError("not an SVG")
    return svg


def page_chart(chart: vega.Chart, caption: str, alt: str) -> Chart:
    """A chart that is drawn for the page alone."""
    return Chart(chart.svg(), caption, alt, _table(chart.columns, chart.rows))


def _table(columns: Texts, rows: tuple[Texts, ...]) -> Table:
    return Table("", tuple(map(Column, columns)), tuple(tuple(map(Entry, row)) for row in rows))
