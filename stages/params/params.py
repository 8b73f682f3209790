"""The typed schema of `params.yaml`: unknown keys, wrong types and impossible values raise with the key's path."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import yaml
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from pag.base.errors import InputError
from pag.base.vocabulary import Method as MethodValue
from stages.params.architectures import Architecture, ArchitectureParams
from stages.params.data import DataParams
from stages.params.evaluation import EvaluationParams, FiguresParams
from stages.params.methods import describe
from stages.params.section import Count, Gradient, Name, NonNegative, Norm, OptimizerParams, Positive, Section
from stages.params.targets import DiffusionParams, ScoreBasedParams, Target, TargetParams
from stages.params.training import Method, MethodParams, TrainingParams

__all__ = ["DatasetParams", "GridParams", "Params", "ToyParams", "load_params"]

T = TypeVar("T")


def _with_decimal_point(value: object) -> object:
    """The paths in dvc.yaml spell λ as the file does, and those of a cell as Python does: `2.0`."""
    if isinstance(value, int):
        raise ValueError(f"write {value}.0")
    return value


class CombinedParams(Section):
    """Methods `<base>_with_<targets>`, every base with every store: `at_l2_with_score_based`."""

    bases: list[Name]
    targets: list[Name]

    @property
    def methods(self) -> dict[str, str]:
        """The store that each method reads."""
        return {f"{base}_with_{targets}": targets for base in self.bases for targets in self.targets}


class GridParams(Section):
    datasets: list[Name]
    architectures: list[Name]
    baselines: list[Name]
    heuristics: list[Name]
    aligned: list[Name]
    combined: CombinedParams
    lambdas: list[Annotated[NonNegative, BeforeValidator(_with_decimal_point)]]

    def methods(self) -> Iterator[tuple[str, str, str | None]]:
        """Key of the grid, method, and the target store that dvc.yaml takes it to read, for every method that is named."""
        yield from (("grid.baselines", method, None) for method in self.baselines)
        yield from (("grid.aligned", method, method) for method in self.aligned)
        yield from (("grid.combined", method, targets) for method, targets in self.combined.methods.items())


class DatasetParams(Section):
    data: DataParams
    diffusion: DiffusionParams
    targets: dict[Name, TargetParams]
    training: TrainingParams
    methods: dict[Name, MethodParams]
    evaluation: EvaluationParams
    figures: FiguresParams

    def source(self, method: str) -> str | None:
        """The target store that a method reads: what its `targets` says, else the one of its own name; None without alignment."""
        alignment = _pick(self.methods, method, "methods").alignment
        return None if alignment is None else alignment.targets or method

    @model_validator(mode="after")
    def _sources_are_defined(self) -> Self:
        for name in self.methods:
            source = self.source(name)
            if source is not None:
                _require(source, self.targets, f"methods.{name}", "targets")
        return self

    @model_validator(mode="after")
    def _shared_classes_are_everywhere(self) -> Self:
        for name, method in self.methods.items():
            shared = method.alignment is not None and method.alignment.classes_shared
            target = self.targets.get(self.source(name) or "")
            if shared and isinstance(target, ScoreBasedParams) and target.classes_per_image is not None:
                raise ValueError(f"methods.{name}.classes_shared needs targets of all classes: classes_per_image null")
        return self

    @model_validator(mode="after")
    def _timesteps_are_trained(self) -> Self:
        trained = self.diffusion.train_at
        used = [("evaluation.alignment.timestep", self.evaluation.alignment.timestep)]
        used += [
            (f"targets.{name}.timestep", t.timestep) for name, t in self.targets.items() if t.source == "score_based"
        ]
        used += [("figures.timesteps", t) for t in self.figures.timesteps]
        for key, t in used:
            if t >= self.diffusion.timesteps or (trained != "all" and t not in trained):
                raise ValueError(
                    f"{key} is {t}, a timestep that diffusion.timesteps and diffusion.train_at leave untrained"
                )
        return self


class ToyDataParams(Section):
    train: Count
    test: Count


class ToyAlignmentParams(Section):
    lambda_: NonNegative = Field(alias="lambda")
    gradient: Gradient
    pool_per_class: Count


class ToyAttackParams(Section):
    norm: Norm
    eps: Positive
    steps: Count
    step_size: Positive


class ToyParams(Section):
    pairs: Count
    data: ToyDataParams
    widths: tuple[Count, Count, Count] = Field(strict=False)
    epochs: Count
    batch_size: Count
    optimizer: OptimizerParams
    alignment: ToyAlignmentParams
    attack: ToyAttackParams


class Params(Section):
    """The whole of `params.yaml`."""

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    data_root: Annotated[str, Field(min_length=1)]
    launcher: str = ""
    grid: GridParams
    lambda_: dict[Name, dict[Name, dict[Name, NonNegative]]] = Field(alias="lambda")
    architectures: dict[Name, ArchitectureParams]
    datasets: dict[Name, DatasetParams]
    toy: ToyParams

    @model_validator(mode="after")
    def _grid_is_defined(self) -> Self:
        for name in self.grid.architectures:
            _require(name, self.architectures, "grid.architectures", "architectures")
        for name in self.grid.datasets:
            _require(name, self.datasets, "grid.datasets", "datasets")
            dataset = self.datasets[name]
            for where, method, source in self.grid.methods():
                _require(method, dataset.methods, where, f"datasets.{name}.methods")
                if dataset.source(method) != source:
                    key = f"datasets.{name}.methods.{method}"
                    raise ValueError(
                        f"{where} is for {_reading(source)}, and {key} is one of {_reading(dataset.source(method))}"
                    )
            for source in self.grid.heuristics:
                _require(source, dataset.targets, "grid.heuristics", f"datasets.{name}.targets")
        return self

    def dataset(self, name: str) -> DatasetParams:
        """The section of one dataset; an unknown name raises `InputError`."""
        return _pick(self.datasets, name, "datasets")

    def architecture(self, name: str) -> Architecture:
        """The section of one architecture; an unknown name raises `InputError`."""
        return _pick(self.architectures, name, "architectures")

    def method(self, dataset: str, name: str) -> Method:
        """How a method trains on a dataset; an unknown name raises `InputError`."""
        return _pick(self.dataset(dataset).methods, name, f"datasets.{dataset}.methods")

    def described(self, dataset: str, name: str) -> MethodValue:
        """What a method is, as results keep it; an unknown name raises `InputError`."""
        source = self.dataset(dataset).source(name)
        target = None if source is None else self.target(dataset, source)
        return describe(name, self.method(dataset, name), source, target)

    def training(self, dataset: str, method: str) -> TrainingParams:
        """What a method trains with: the dataset's `training`, with the method's own values instead where it has some."""
        return self.method(dataset, method).training.applied_to(self.dataset(dataset).training)

    def target(self, dataset: str, name: str) -> Target:
        """How a target store is made; an unknown name raises `InputError`."""
        return _pick(self.dataset(dataset).targets, name, f"datasets.{dataset}.targets")

    def lambda_of(self, dataset: str, architecture: str, method: str) -> float:
        """The weight of the alignment term in eq. (4); a missing entry raises `InputError`."""
        key = f"lambda.{dataset}"
        return _pick(_pick(_pick(self.lambda_, dataset, "lambda"), architecture, key), method, f"{key}.{architecture}")


def _require(name: str, known: dict[str, Any], where: str, section: str) -> None:
    if name not in known:
        raise ValueError(f"{where} names {name!r}, which {section} does not define (it has {', '.join(known)})")


def _reading(source: str | None) -> str:
    return f"methods that read the targets {source}" if source else "methods without targets"


def _pick(section: dict[str, T], name: str, path: str) -> T:
    if name not in section:
        raise InputError(f"params.yaml: {path} has no {name!r} (it has {', '.join(section)}).")
    return section[name]


def _read(path: Path) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{path} cannot be read; run the command in the repository's root or give --params.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(raw, dict):
        raise InputError(f"{path} holds no sections.")
    return raw


def _override(raw: dict[str, Any], assignment: str, path: Path) -> None:
    key, equals, value = assignment.partition("=")
    if not equals:
        raise InputError(f"--set takes key=value, not {assignment!r}.")
    *parents, leaf = key.split(".")
    section = raw
    for parent in parents:
        section = section.get(parent) if isinstance(section, dict) else None  # type: ignore[assignment]
    if not isinstance(section, dict) or leaf not in section:
        raise InputError(f"--set {key}: {path} has no such key.")
    section[leaf] = yaml.safe_load(value)


def _key_path(raw: object, location: tuple[int | str, ...], missing: bool) -> str:
    """The path as it stands in the file: pydantic's location without the tags of unions."""
    names: list[str] = []
    node = raw
    for part in location:
        known: dict[int | str, object] = (
            node if isinstance(node, dict) else dict(enumerate(node)) if isinstance(node, list) else {}
        )
        if part in known:
            names.append(str(part))
            node = known[part]
    if missing:
        names.append(str(location[-1]))
    return ".".join(names)


def _sentence(error: ValidationError, raw: dict[str, Any], path: Path) -> str:
    # A misspelt key is at once an unknown and a missing one: the unknown one is what stands in the file.
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    where = _key_path(raw, first["loc"], first["type"] == "missing")
    message = "Unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
    told = f" (it is {first['input']!r})" if isinstance(first["input"], int | float | str) else ""
    return f"{path}: {where + ': ' if where else ''}{message[0].lower()}{message[1:]}{told}."


def load_params(path: Path = Path("params.yaml"), overrides: Sequence[str] = ()) -> Params:
    """Reads `params.yaml`, with `key.path=value` overrides on top.

    Raises:
        InputError: the file is missing or not YAML, or a key is unknown, of a wrong type or impossible; the sentence names it.
    """
    raw = _read(path)
    for assignment in overrides:
        _override(raw, assignment, path)
    try:
        return Params.model_validate(raw)
    except ValidationError as error:
        raise InputError(_sentence(error, raw, path)) from None
