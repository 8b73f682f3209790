"""Where our numbers come from: today's grid, and the runs elsewhere that are kept in `results/`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from pag.base.errors import InputError
from pag.base.json_files import read_json
from pag.evaluation.metrics import Metrics
from stages.params.section import NonNegative, Section
from stages.reporting.evaluated import Evaluated, evaluated
from stages.reporting.methods import MethodResults

__all__ = ["KEPT", "KeptRun", "Source", "read_kept", "read_kept_run", "todays"]

KEPT = Path("results")


@dataclass(frozen=True)
class Source:
    """Results that were measured together.

    Attributes:
        name: what tables call it.
        provenance: where they were measured, in words; empty for today's grid.
        cells: the methods of the main grid, each with its runs.
        sweep: the same of figure 5's sweep.
    """

    name: str
    provenance: str
    cells: tuple[Evaluated, ...]
    sweep: tuple[Evaluated, ...] = ()

    def cell(self, dataset: str, architecture: str, method: str, swept_lambda: float | None = None) -> Evaluated | None:
        """The main grid's runs of a method, by its key in params; or, for the sweep of figure 5, those with that λ."""
        wanted = (dataset, architecture, method)
        cells = self.cells if swept_lambda is None else (*self.cells, *self.sweep)
        found = (cell for cell in cells if (cell.first.dataset, cell.first.architecture, cell.method.name) == wanted)
        return next((cell for cell in found if swept_lambda in (None, cell.lambda_)), None)


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
    cells: list[Metrics] = Field(min_length=1)
    sweep: list[Metrics] = Field(default_factory=list)

    @model_validator(mode="after")
    def _each_cell_once(self) -> "KeptRun":
        for kind, cells in (("cells", self.cells), ("sweep", self.sweep)):
            keys = [
                (c.dataset, c.architecture, c.method.name, *([c.lambda_] if kind == "sweep" else []), *c.seeds)
                for c in cells
            ]
            twice = next((key for key in keys if keys.count(key) > 1), None)
            if twice:
                raise ValueError(f"{kind} has {'/'.join(map(str, twice))} twice")
        return self


def todays(results: Sequence[MethodResults]) -> Source:
    """The gathered results of today's grid."""
    return Source(
        "this run", "", tuple(chain(*(r.methods for r in results))), tuple(chain(*(r.sweep for r in results)))
    )


def read_kept(folder: Path = KEPT) -> list[Source]:
    """The runs in `results/`, by name; none where the folder is missing.

    Raises:
        InputError: a file is not JSON, or a key is unknown, missing or of a wrong type; the sentence names both.
    """
    return [read_kept_run(path) for path in sorted(folder.glob("*.json"))]


def read_kept_run(path: Path) -> Source:
    """One file of `results/`; raises as `read_kept` does."""
    try:
        run = KeptRun.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"{path}: {where + ': ' if where else ''}{message[0].lower()}{message[1:]}.") from None
    provenance = f"{run.hardware}, {_duration(sum(run.times.values()))} of compute, commit {run.commit[:7]}"
    return Source(path.stem, provenance, evaluated(run.cells), evaluated(run.sweep))


def _duration(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.1f} minutes"
