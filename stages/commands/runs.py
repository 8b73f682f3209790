"""Results to compare: those that lie here, a run that is kept in `results/`, and those of a revision that DVC has in its cache."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from numpy.typing import NDArray
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from pag.base.errors import InputError
from pag.evaluation.metrics import Metrics
from stages.paths import DATA
from stages.reporting.evaluated import Evaluated
from stages.reporting.methods import Seeds
from stages.reporting.sources import read_kept_run

__all__ = ["Run", "Side", "kept_run", "of_revision", "run_here"]

EVALUATIONS = "*/evaluations/*/*/metrics.json"
LOCK = "dvc.lock"


@dataclass(frozen=True)
class Side:
    """The evaluations of a cell of the grid, with all seeds that there are.

    Attributes:
        name: `digits/resnet8-vanilla`.
        evaluations: at least one.
        found: by measure and seeds, what was found at each test image; empty where that was not kept.
    """

    name: str
    evaluations: tuple[Metrics, ...]
    found: Mapping[str, Mapping[Seeds, NDArray[Any]]] = field(default_factory=dict)

    @property
    def evaluated(self) -> Evaluated:
        """All seeds as one."""
        return Evaluated(self.evaluations)

    @property
    def label(self) -> str:
        """What tables call the method, with λ for a cell of the sweep."""
        first = self.evaluations[0]
        swept = f", λ = {first.lambda_:g}" if "-lambda-" in self.name and first.lambda_ is not None else ""
        return f"{first.method.label}{swept}"


@dataclass(frozen=True)
class Run:
    """Results that were made together.

    Attributes:
        name: what it was asked for by.
        sides: its cells by name.
    """

    name: str
    sides: Mapping[str, Side]


def run_here() -> Run:
    """All evaluations that lie in `data/`."""
    return _run("here", sorted(DATA.glob(EVALUATIONS)), Path.read_bytes)


def kept_run(file: Path) -> Run:
    """A run of `results/`, which has metrics and not what was found at each image.

    Raises:
        InputError: as `stages.reporting.sources.read_kept_run`.
    """
    source = read_kept_run(file)
    named = [(_name(cell, ""), cell) for cell in source.cells]
    named += [(_name(cell, f"-lambda-{cell.lambda_}"), cell) for cell in source.sweep]
    return Run(source.name, {name: Side(name, cell.evaluations) for name, cell in named})


def _name(cell: Evaluated, swept: str) -> str:
    return f"{cell.first.dataset}/{cell.first.architecture}-{cell.method.name}{swept}"


def of_revision(revision: str) -> Run | None:
    """The evaluations of a commit, a branch, a tag or an experiment, by its `dvc.lock`, out of DVC's cache.

    Returns:
        None where there is no such revision.

    Raises:
        InputError: it has no evaluations, the cache has none of them, or this folder is no repository.
    """
    from dvc.api import DVCFileSystem  # half a second
    from dvc.exceptions import DvcException
    from dvc.scm import RevError
    from scmrepo.exceptions import SCMError  # what DVC lets through where there is no commit at all

    try:
        files = DVCFileSystem(rev=revision)
        paths = _locked(files.read_bytes(LOCK))
        run = _run(revision, paths, lambda path: files.read_bytes(path.as_posix()))
    except (RevError, SCMError):
        return None
    except DvcException as error:
        raise InputError(f"{revision}: {str(error).splitlines()[0].rstrip('.')}.") from None
    except FileNotFoundError:
        raise InputError(f"{revision} has no {LOCK}: no pipeline was run there.") from None
    if not run.sides:
        raise InputError(f"The cache has no evaluation of {revision}; dvc fetch or dvc exp pull may bring it.")
    return run


def _locked(content: bytes) -> list[Path]:
    """The evaluations that a `dvc.lock` names."""
    stages = yaml.load(content, yaml.CSafeLoader)["stages"].values()
    outs = (Path(out["path"]) for stage in stages for out in stage.get("outs", ()))
    return sorted(path for path in outs if path.match(f"{DATA}/{EVALUATIONS}"))


def _run(name: str, paths: Iterable[Path], read: Callable[[Path], bytes]) -> Run:
    """The evaluations at these paths that can be read, those of a cell together."""
    gathered: dict[str, list[tuple[Metrics, Mapping[str, NDArray[Any]]]]] = {}
    for path in paths:
        try:
            content = read(path)
        except FileNotFoundError:
            continue
        cell, dataset = path.parent.parent.name, path.parts[1]
        arrays = dict(_arrays(path.with_name("outcomes.safetensors"), read))
        gathered.setdefault(f"{dataset}/{cell}", []).append((_metrics(path, content), arrays))
    return Run(name, {name: _side(name, of) for name, of in gathered.items()})


def _metrics(path: Path, content: bytes) -> Metrics:
    try:
        return Metrics.model_validate(json.loads(content))
    except (ValidationError, ValueError):
        raise InputError(f"{path} is damaged or of another version; run `pag evaluate` again.") from None


def _arrays(path: Path, read: Callable[[Path], bytes]) -> Iterator[tuple[str, NDArray[Any]]]:
    try:
        yield from load(read(path)).items()
    except FileNotFoundError:
        return
    except SafetensorError as error:
        raise InputError(f"{path} is damaged ({error}).") from None


def _side(name: str, of: list[tuple[Metrics, Mapping[str, NDArray[Any]]]]) -> Side:
    found: dict[str, dict[Seeds, NDArray[Any]]] = {}
    for metrics, arrays in of:
        for measure, array in _by_measure(metrics, arrays):
            found.setdefault(measure, {})[metrics.training_seed, metrics.targets_seed] = array
    whole = {measure: by_seeds for measure, by_seeds in found.items() if len(by_seeds) == len(of)}
    return Side(name, tuple(metrics for metrics, _ in of), whole)


def _by_measure(metrics: Metrics, arrays: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, NDArray[Any]]]:
    """What was found at each image, by the measure that is its mean; of AutoAttack after its last attack."""
    names = {measure: measure for measure in ("clean", "alignment", *metrics.measures)}
    names |= {
        f"autoattack.{threat}": f"{threat}.{next(reversed(of.attacks), '')}"
        for threat, of in metrics.autoattack.items()
    }
    yield from ((measure, arrays[name]) for measure, name in names.items() if name in arrays)
