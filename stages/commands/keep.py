"""`keep`: the results of today's grid in one file of `results/`, which goes into git and is shown wherever the report is made."""

import re
import subprocess
from itertools import chain
from pathlib import Path

from pag.base.errors import InputError
from pag.base.json_files import write_json
from pag.evaluation.metrics import read_metrics
from pag.machine.locks import locked
from stages.params.grid import read_grid
from stages.params.reading import Params
from stages.paths import grid_cells, sweep_cells
from stages.reporting.sources import KEPT, KeptRun, read_kept_run
from stages.run import read_times

__all__ = ["run"]


def run(params: Params, name: str, hardware: str) -> Path:
    """Writes `results/<name>.json` (`results/README.md`) from the evaluations of the grid and of the sweep.

    Args:
        params: those that the run was made with.
        name: of the file; letters, digits, `-` and `_`.
        hardware: what the run was measured on, in words.

    Raises:
        InputError: the name is no file name or that of another file, a cell has no results, or the folder is no git repository
            with a commit.
    """
    if not re.fullmatch(r"[\w-]+", name):
        raise InputError(f"--name takes letters, digits, - and _, not {name!r}.")
    file = KEPT / f"{name}.json"
    if file.exists():
        read_kept_run(file)  # what is replaced is a run that was kept under this name, and nothing else
    grid = read_grid(params)
    where = [(d, a) for d in grid.datasets for a in grid.architectures]
    files = (params.main, *map(params.dataset, grid.datasets))
    kept = KeptRun(
        hardware=hardware,
        commit=_commit(),
        times=read_times(),
        params={file.name: file.content for file in files},
        cells=[read_metrics(c.evaluation / "metrics.json") for c in chain(*(grid_cells(params, *w) for w in where))],
        sweep=[read_metrics(c.evaluation / "metrics.json") for c in chain(*(sweep_cells(params, *w) for w in where))],
    )
    with locked(file):
        write_json(file, kept.model_dump(mode="json", by_alias=True, exclude_defaults=True))
    return file


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError("The commit of the results is unknown: git rev-parse HEAD fails here.")
    return done.stdout.strip()
