"""Where our numbers come from, for the comparison with the paper: the cells of today's grid, and runs kept in `results/`.

A measure is found by its dotted name: whatever holds a value, an interval and n in the `metrics.json` of an evaluation is one, so
that `autoattack.l2_large` and `foolbox.ead` need no code of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pag.base.errors import InputError
from pag.base.files import read_json
from stages.params.section import NonNegative, Section
from stages.reporting.results import GridResults

__all__ = ["KEPT", "Found", "KeptRun", "Measured", "Source", "read_kept", "todays"]

KEPT = Path("results")


class Measured(BaseModel):
    """A number with its confidence interval, the number of examples behind it and, under an attack, its ε."""

    model_config = ConfigDict(frozen=True)

    value: float
    interval: tuple[float, float]
    n: int
    eps: float | None = None


@dataclass(frozen=True)
class Found:
    """The result of one cell, by the names of its measures.

    Attributes:
        swept: whether it is a cell of figure 5's sweep instead of the main grid's cell of its method.
    """

    dataset: str
    architecture: str
    method: str
    lambda_: float | None
    swept: bool
    measures: Mapping[str, Measured]


@dataclass(frozen=True)
class Source:
    """Results that were measured together.

    Attributes:
        name: what tables call it.
        provenance: where they were measured, in words; empty for today's grid.
        cells: those of the main grid first.
    """

    name: str
    provenance: str
    cells: tuple[Found, ...]

    def cell(self, dataset: str, architecture: str, method: str, swept_lambda: float | None = None) -> Found | None:
        """The main grid's cell of a method; or, for the sweep of figure 5, the one with that λ, which for 0 is vanilla's."""
        if swept_lambda == 0:
            method, swept_lambda = "vanilla", None
        wanted = (dataset, architecture, method)
        cells = [cell for cell in self.cells if (cell.dataset, cell.architecture, cell.method) == wanted]
        if swept_lambda is None:
            return next((cell for cell in cells if not cell.swept), None)
        return next((cell for cell in cells if cell.lambda_ == swept_lambda), None)


class KeptCell(BaseModel):
    """`metrics.json` of an evaluation: where it belongs, and whatever was measured."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    dataset: str
    architecture: str
    method: str
    lambda_: NonNegative | None = Field(alias="lambda")

    @model_validator(mode="after")
    def _holds_measures(self) -> "KeptCell":
        if not dict(_measures(self.model_extra or {})):
            raise ValueError(f"{self.dataset}/{self.architecture}-{self.method} holds no measure")
        return self

    def found(self, swept: bool) -> Found:
        """The cell by the names of its measures."""
        measures = dict(_measures(self.model_extra or {}))
        return Found(self.dataset, self.architecture, self.method, self.lambda_, swept, measures)


class KeptRun(Section):
    """A file of `results/`: one run of the pipeline elsewhere (`results/README.md`).

    Attributes:
        hardware: what it ran on, in words.
        commit: of the code.
        times: seconds of each stage.
        params: `params.yaml` as it was.
        cells: `metrics.json` of the main grid's evaluations.
        sweep: the same of figure 5's sweep.
    """

    hardware: str = Field(min_length=1)
    commit: str = Field(pattern=r"^[0-9a-f]{7,40}$")
    times: dict[str, NonNegative]
    params: dict[str, Any]
    cells: list[KeptCell] = Field(min_length=1)
    sweep: list[KeptCell] = Field(default_factory=list)

    @model_validator(mode="after")
    def _each_cell_once(self) -> "KeptRun":
        for kind, cells in (("cells", self.cells), ("sweep", self.sweep)):
            keys = [(c.dataset, c.architecture, c.method, *([c.lambda_] if kind == "sweep" else [])) for c in cells]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice:
                raise ValueError(f"{kind} has {'/'.join(map(str, twice))} twice")
        return self


def todays(results: Sequence[GridResults]) -> Source:
    """The gathered results of today's grid."""
    cells = [(cell, False) for r in results for cell in r.cells] + [(cell, True) for r in results for cell in r.sweep]
    found = []
    for cell, swept in cells:
        e = cell.evaluation
        measures = dict(_measures(e.model_dump(mode="json", by_alias=True)))
        found.append(Found(e.dataset, e.architecture, e.method, e.lambda_, swept, measures))
    return Source("this run", "", tuple(found))


def read_kept(folder: Path = KEPT) -> list[Source]:
    """The runs in `results/`, by name; none where the folder is missing.

    Raises:
        InputError: a file is not JSON, or a key is unknown, missing or of a wrong type; the sentence names both.
    """
    return [_kept(path) for path in sorted(folder.glob("*.json"))]


def _kept(path: Path) -> Source:
    try:
        run = KeptRun.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {where + ': ' if where else ''}{message[0].lower()}{message[1:]}.") from None
    provenance = f"{run.hardware}, {_duration(sum(run.times.values()))} of computing, commit {run.commit[:7]}"
    cells = [cell.found(swept=False) for cell in run.cells] + [cell.found(swept=True) for cell in run.sweep]
    return Source(path.stem, provenance, tuple(cells))


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"


def _measures(metrics: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, Measured]]:
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            if value.keys() >= {"value", "interval", "n"}:
                yield prefix + key, _measured(prefix + key, value)
            else:
                yield from _measures(value, f"{prefix}{key}.")


def _measured(name: str, value: Mapping[str, object]) -> Measured:
    try:
        return Measured.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ValueError(f"{name}.{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
