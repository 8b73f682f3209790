"""Training curves as CSV: a row a report, a column a measure, full precision."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from pag.base.files import written_whole

__all__ = ["write_curves"]


def write_curves(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, float]]) -> None:
    """Writes the named columns of `rows`; what a row lacks stays empty."""
    with written_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(columns), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
