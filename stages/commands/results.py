"""`results`: the tables of README.md and docs/results.md, written from the files of `results/`."""

import re
from pathlib import Path

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.machine.locks import locked
from pag.page.markdown import markdown_table
from stages.reporting.paper_tables import kept_tables
from stages.reporting.sources import KEPT, read_kept_run
from stages.reporting.summaries import SUMMARIES, read_summary, summary_table

__all__ = ["PAGES", "with_tables", "write_results"]

PAGES = (Path("README.md"), Path("docs/results.md"))
BLOCK = re.compile(r"(<!-- table: (.*?) -->\n).*?(<!-- /table -->)", re.DOTALL)


def write_results() -> list[Path]:
    """Writes the tables of the pages anew; their prose stays.

    Raises:
        InputError: a page is missing, or a block names no file of `results/` or a damaged one.
    """
    for page in PAGES:
        _write(page)
    return list(PAGES)


def _write(page: Path) -> None:
    try:
        text = page.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{page} does not exist; run the command in the repository's root.") from None
    with locked(page), written_whole(page) as partial:
        partial.write_text(with_tables(text), encoding="utf-8")


def with_tables(text: str) -> str:
    """A page with the table of `results/NAME.json` in each block `<!-- table: NAME -->` … `<!-- /table -->`."""
    return BLOCK.sub(lambda block: f"{block[1]}\n{_tables(block[2])}\n\n{block[3]}", text)


def _tables(name: str) -> str:
    """The tables of a kept run, `results/NAME.json`, or of a summary, `summaries/NAME`."""
    if name.startswith(f"{SUMMARIES.name}/"):
        return markdown_table(summary_table(read_summary(KEPT / f"{name}.json")))
    run = read_kept_run(KEPT / f"{name}.json")
    return "\n\n".join(markdown_table(table) for table in kept_tables(run, (*run.cells, *run.sweep)))
