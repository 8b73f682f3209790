"""The results of one data set and architecture: gathered from the cells by `visualize`, read again by `report`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pag.base.errors import InputError
from pag.base.json_files import read_json
from pag.evaluation.metrics import Metrics, read_metrics
from pag.optimization.curves import read_curves
from stages.params.grid import read_grid
from stages.params.methods import describe
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths, grid_cells, sweep_cells
from stages.reporting.arrays import read_arrays
from stages.reporting.targeted import TARGETED, read_targeted

__all__ = [
    "RESULTS",
    "CellResult",
    "GridResults",
    "aligned_sources",
    "gather",
    "read_gathered",
]

RESULTS = "results.json"

Outcome = Annotated[str, Field(pattern="^[01]+$")]


class CellResult(BaseModel):
    """All that the report shows of a cell.

    Attributes:
        name: of the method, with λ for a cell of the sweep: `score_based-lambda-0.1`; the same for all its seeds.
        evaluation: on the test set.
        validation: accuracy, cosine and accuracy under PGD on the validation split.
        target_probability: mean probability of the target class after the large-ε targeted attack.
        curves: of training, by column.
        outcomes: at each test image, in order, `1` where the network was right: without an attack, `clean`, and after AutoAttack,
            `autoattack.l2`.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    evaluation: Metrics
    validation: dict[str, float | None]
    target_probability: float
    curves: dict[str, list[float | None]]
    outcomes: dict[str, Outcome]


class GridResults(BaseModel):
    """The cells of one data set and architecture: of the main grid and of the sweep of λ, in the grid's order, one a run.

    The runs of a method, which its seeds tell apart, stand one after another.
    """

    model_config = ConfigDict(frozen=True)

    dataset: str
    architecture: str
    cells: tuple[CellResult, ...]
    sweep: tuple[CellResult, ...]


def aligned_sources(params: Params, dataset: str) -> dict[str, str]:
    """The target stores that the grid's aligned methods read, each with what figures call it."""
    methods = [describe(params, dataset, name) for name in read_grid(params).aligned]
    plainest = sorted(methods, key=lambda method: method.objective != "alignment")  # whose label is the targets' alone
    labels: dict[str, str] = {}
    for method in plainest:
        if method.source is not None:
            labels.setdefault(method.source, method.label)
    return labels


def _cell(cell: Cell) -> CellResult:
    metrics, validation = cell.evaluation / "metrics.json", cell.classifier / "metrics.json"
    targeted = read_targeted(cell.evaluation / TARGETED)
    evaluation = read_metrics(metrics)
    _check_cell(metrics, evaluation, cell)
    try:
        return CellResult(
            name=cell.row,
            evaluation=evaluation,
            validation=read_json(validation).get("validation"),  # type: ignore[arg-type]  # which is validated
            target_probability=targeted.target_probability,
            curves=read_curves(cell.classifier / "curves.csv"),
            outcomes=_outcomes(cell.evaluation / "outcomes.safetensors", evaluation),
        )
    except ValidationError:
        raise InputError(
            f"{validation} does not hold what was measured on the validation split; train it again."
        ) from None


def _outcomes(path: Path, evaluation: Metrics) -> dict[str, str]:
    """Who was right without an attack, and after the last part of AutoAttack under each threat.

    Raises:
        InputError: the file is missing or damaged, or is of another evaluation.
    """
    names = {"clean": "clean"}
    names |= {
        f"autoattack.{threat}": f"{threat}.{next(reversed(of.attacks), '')}"
        for threat, of in evaluation.autoattack.items()
    }
    arrays, outcomes = read_arrays(path, dict.fromkeys(names.values(), 1)), {}
    for measure, name in names.items():
        measured, right = evaluation.measures[measure], arrays[name].astype(bool)
        if len(right) != measured.n or abs(measured.value * measured.n - right.sum()) > 0.5:
            raise InputError(f"{path} is not of the evaluation beside it: {measure} differs; run `pag evaluate` again.")
        outcomes[measure] = "".join(map(str, right.astype(int)))
    return outcomes


def _check_cell(file: Path, evaluation: Metrics, cell: Cell) -> None:
    """Makes sure that a folder holds the evaluation of its cell; λ is in the name of a cell of the sweep alone."""
    swept = evaluation.lambda_ if cell.lambda_ is not None else None
    here = (
        evaluation.dataset, evaluation.architecture, evaluation.method.name, swept,
        evaluation.training_seed, evaluation.targets_seed,
    )  # fmt: skip
    wanted_here = (cell.dataset, cell.architecture, cell.method, cell.lambda_, cell.seed, cell.targets_seed)
    for told, wanted in zip(here, wanted_here, strict=True):
        if told != wanted:
            raise InputError(f"{file} is of another classifier, {told}, not {wanted}; run `pag evaluate` again.")


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
    evaluations = [(cell.name, cell.evaluation) for cell in (*results.cells, *results.sweep)]
    found = [_run_name(name, e.training_seed, e.targets_seed) for name, e in evaluations]
    wanted = [*grid_cells(params, dataset, architecture), *sweep_cells(params, dataset, architecture)]
    _require([_run_name(cell.row, cell.seed, cell.targets_seed) for cell in wanted], found, path)
    return results


def _run_name(name: str, seed: int | None, targets_seed: int | None) -> str:
    return f"{name} of seed {seed}" if targets_seed is None else f"{name} of seeds {seed} and {targets_seed}"


def _require(wanted: Sequence[str], names: Sequence[str], path: Path) -> None:
    if list(wanted) != list(names):
        differing = sorted(set(wanted) ^ set(names)) or list(wanted)
        raise InputError(f"{path} is of another grid (it differs in {differing[0]}); run `pag visualize` again.")
