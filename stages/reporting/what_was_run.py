"""What stands behind the page: versions, seeds, the parameters of what was run alone, and the commands that run each cell again."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import chain
from typing import Any

import psutil
import yaml

from pag.page.report import Column, Entry, Run, Table
from stages.params.grid import GridParams, read_grid
from stages.params.reading import Params
from stages.paths import Cell, grid_cells, sweep_cells
from stages.reporting.methods import MethodResults

__all__ = ["circumstances", "what_was_run"]

PACKAGES = ("torch", "torchvision", "numpy", "zarr", "pyautoattack", "foolbox", "dvc")


def what_was_run(params: Params, results: Sequence[MethodResults], files: Mapping[str, str]) -> Run:
    """All that is the same whenever and wherever the grid is run with these versions.

    Args:
        params: of the run.
        results: all that the page shows.
        files: beside the page, with what is in them.
    """
    grid = read_grid(params)
    seeds = ", ".join(map(str, grid.seeds))
    of_targets = ", ".join(map(str, grid.targets_seeds))
    versions = [(name, _version(name)) for name in ("pag", *PACKAGES)]
    settings = [("Attack seed", str(params.seed)), ("Training seeds", seeds), ("Target seeds", of_targets)]
    settings += [("Python", platform.python_version()), *versions]
    return Run(tuple(settings), _cells_table(params, results), _parameters(params, grid), tuple(files.items()))


def circumstances() -> list[tuple[str, str]]:
    """When, where and from which commit; they differ from one run to the next."""
    memory = psutil.virtual_memory().total / 2**30
    return [
        ("Date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("Commit", _commit()),
        ("Machine", f"{platform.system()} {platform.machine()}, {psutil.cpu_count()} CPU cores, {memory:.0f} GiB"),
    ]


def _commit() -> str:
    commit = _git("rev-parse", "--short=12", "HEAD")
    return f"{commit}, with changes" if commit and _git("status", "--porcelain", "--", "pag", "stages") else commit


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return "" if done.returncode else done.stdout.strip()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _cells_table(params: Params, results: Sequence[MethodResults]) -> Table:
    """Each cell with the commands that train and evaluate it again."""
    places = [(r.dataset, r.architecture) for r in results]
    cells = [cell for place in places for cell in chain(grid_cells(params, *place), sweep_cells(params, *place))]
    rows = [
        (
            Entry(cell.row, f"{cell.dataset}, {cell.architecture}"),
            Entry(cell.seeds),
            Entry("", timed=(f"train@{cell.name}",), commands=(_command("train", cell),)),
            Entry("", timed=(f"evaluate@{cell.name}",), commands=(_command("evaluate", cell),)),
        )
        for cell in cells
    ]
    caption = "Commands to train and evaluate each network again, without DVC; seconds: the last time on this machine."
    return Table(caption, tuple(map(Column, ("Cell", "Seeds", "Training", "Evaluation"))), tuple(rows))


def _command(stage: str, cell: Cell) -> str:
    options = {
        "dataset": cell.dataset, "architecture": cell.architecture, "method": cell.method, "lambda": cell.lambda_,
        "seed": cell.seed, "targets-seed": cell.targets_seed,
    }  # fmt: skip
    return " ".join([f"pag {stage}", *(f"--{name} {value}" for name, value in options.items() if value is not None)])


def _parameters(params: Params, grid: GridParams) -> str:
    """The parameters of the grid's data sets, architectures and methods, as YAML; of no others."""
    main = dict(params.main.content)
    main["architectures"] = _only(main["architectures"], grid.architectures)
    main["lambda"] = {d: _only(of, grid.architectures) for d, of in _only(main["lambda"], grid.datasets).items()}
    used = {
        (d, a): {cell.method for cell in grid_cells(params, d, a)} for d in grid.datasets for a in grid.architectures
    }
    for (dataset, architecture), methods in used.items():
        if architecture in main["lambda"].get(dataset, {}):
            main["lambda"][dataset][architecture] = _only(main["lambda"][dataset][architecture], methods)
    files = {params.main.name: main}
    for dataset in grid.datasets:
        file = params.dataset(dataset)
        methods = set().union(*(of for (d, _), of in used.items() if d == dataset))
        stores = methods | {*grid.heuristics, grid.aligned_margin.targets, *grid.combined.targets, "score_based"}
        kept = {"methods": _only(file.content["methods"], methods), "targets": _only(file.content["targets"], stores)}
        files[file.name] = {**file.content, **kept}
    return yaml.safe_dump(files, sort_keys=False, allow_unicode=True, width=100)


def _only(section: Mapping[str, Any], names: object) -> dict[str, Any]:
    assert isinstance(names, list | set | tuple)
    return {name: value for name, value in section.items() if name in names}
