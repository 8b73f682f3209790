"""The results of one data set and architecture: gathered from the cells by `visualize`, read again by `report`."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file

from pag.base.errors import InputError
from pag.base.files import read_json
from pag.figures.names import threat_names
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths, grid_cells, sweep_cells

__all__ = [
    "RESULTS",
    "Attacked",
    "Bounded",
    "CellResult",
    "Evaluation",
    "GridResults",
    "Measure",
    "gather",
    "read_arrays",
    "read_curves",
    "read_gathered",
]

RESULTS = "results.json"
Curves = dict[str, list[float | None]]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Measure(_Value):
    """A fraction or a cosine, with its confidence interval and the number of examples behind it."""

    value: float
    interval: tuple[float, float]
    n: int

    @property
    def triple(self) -> tuple[float, float, float]:
        """Value, lower and upper end."""
        return (self.value, *self.interval)


class Bounded(Measure):
    """Accuracy under perturbations of at most ε in a norm."""

    norm: str
    eps: float


class Attacked(Bounded):
    """Accuracy under AutoAttack, and what was left after each of its attacks."""

    attacks: dict[str, float]


class Evaluation(_Value):
    """`metrics.json` of an evaluation: AutoAttack and PGD by threat, Foolbox by attack; empty where it was not asked for."""

    dataset: str
    architecture: str
    method: str
    lambda_: float | None = Field(alias="lambda")
    seed: int
    clean: Measure
    autoattack: dict[str, Attacked]
    pgd: dict[str, Bounded] = Field(default_factory=dict)
    foolbox: dict[str, Bounded] = Field(default_factory=dict)
    alignment: Measure


class CellResult(_Value):
    """All that is told of a cell.

    Attributes:
        name: of the method, with λ for a cell of the sweep: `score_based-lambda-0.1`.
        evaluation: on the test set.
        validation: accuracy, cosine and accuracy under PGD on the validation split.
        target_probability: mean probability of the target class after the large-ε targeted attack.
        curves: of training, by column.
    """

    name: str
    evaluation: Evaluation
    validation: dict[str, float | None]
    target_probability: float
    curves: Curves


class GridResults(_Value):
    """The cells of one data set and architecture: of the main grid and of the sweep of λ, in the grid's order."""

    dataset: str
    architecture: str
    cells: tuple[CellResult, ...]
    sweep: tuple[CellResult, ...]

    @property
    def threats(self) -> Mapping[str, Attacked]:
        """The threats by name, each with one cell's result, for its norm, ε and n."""
        return self.cells[0].evaluation.autoattack

    @property
    def threat_names(self) -> Mapping[str, str]:
        """What each threat is called in figures and sentences."""
        return threat_names({name: (attacked.norm, attacked.eps) for name, attacked in self.threats.items()})

    @property
    def main_threats(self) -> Mapping[str, str]:
        """Of each norm the threat of smallest ε, with what it is called: the paper's table 1, not its table 3."""
        ascending = sorted(self.threats, key=lambda name: self.threats[name].eps)
        smallest = {self.threats[name].norm: name for name in reversed(ascending)}
        return {name: told for name, told in self.threat_names.items() if name in smallest.values()}

    def cell(self, method: str) -> CellResult | None:
        """The main grid's cell of a method."""
        return next((cell for cell in self.cells if cell.evaluation.method == method), None)

    @property
    def by_lambda(self) -> tuple[tuple[float, CellResult], ...]:
        """Vanilla (λ = 0), the sweep, and the main grid's score-based cell, each λ once, ascending (figure 5)."""
        found: dict[float, CellResult] = {}
        ends = [cell for cell in (self.cell("vanilla"), self.cell("score_based")) if cell is not None]
        for cell in (*ends, *self.sweep):
            found.setdefault(cell.evaluation.lambda_ or 0.0, cell)
        return tuple(sorted(found.items(), key=lambda item: item[0]))


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file.

    Raises:
        InputError: it is missing or damaged.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the stage that makes it.") from None
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}).") from None


def read_curves(path: Path) -> Curves:
    """The columns of a `curves.csv`, None where a field is empty.

    Raises:
        InputError: it is missing or holds something else than numbers.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name: [float(row[name]) if row[name] else None for row in rows] for name in (rows[0] if rows else ())}
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the stage that makes it.") from None
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{path} holds something else than columns of numbers.") from None


def _evaluation(path: Path) -> Evaluation:
    try:
        return Evaluation.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}.") from None


def _cell(cell: Cell) -> CellResult:
    probability = read_arrays(cell.evaluation / "targeted.safetensors")["probability"]
    return CellResult(
        name=cell.name.removeprefix(f"{cell.architecture}-"),
        evaluation=_evaluation(cell.evaluation / "metrics.json"),
        validation=read_json(cell.classifier / "metrics.json")["validation"],
        target_probability=float(np.mean(probability, dtype=np.float64)),
        curves=read_curves(cell.classifier / "curves.csv"),
    )


def gather(params: Params, dataset: str, architecture: str) -> GridResults:
    """Reads the results of all cells of the grid and of the sweep.

    Raises:
        InputError: a cell has none, or they are damaged.
    """
    cells = tuple(_cell(cell) for cell in grid_cells(params, dataset, architecture))
    sweep = tuple(_cell(cell) for cell in sweep_cells(params, dataset, architecture))
    return GridResults(dataset=dataset, architecture=architecture, cells=cells, sweep=sweep)


def read_gathered(params: Params, dataset: str, architecture: str) -> GridResults:
    """Reads what `visualize` gathered, the cells of today's grid alone.

    Raises:
        InputError: it gathered nothing, or an earlier grid that lacks a cell.
    """
    path = DatasetPaths(dataset).figures(architecture) / RESULTS
    try:
        results = GridResults.model_validate(read_json(path))
    except ValidationError:
        raise InputError(f"{path} is damaged; run `pag visualize` again.") from None
    names = [cell.name for cell in (*results.cells, *results.sweep)]
    wanted = [*grid_cells(params, dataset, architecture), *sweep_cells(params, dataset, architecture)]
    _require([cell.name.removeprefix(f"{architecture}-") for cell in wanted], names, path)
    return results


def _require(wanted: Sequence[str], names: Sequence[str], path: Path) -> None:
    if list(wanted) != list(names):
        differing = sorted(set(wanted) ^ set(names)) or list(wanted)
        raise InputError(f"{path} is of another grid (it differs in {differing[0]}); run `pag visualize` again.")
