"""The typed schema of `params.yaml`: unknown keys, wrong types and impossible values raise with the key's path."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pag.errors import InputError

__all__ = ["DatasetParams", "Params", "load_params"]

T = TypeVar("T")
Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Gradient = Literal["log_softmax", "logit"]
Norm = Literal["l2", "linf"]
FoolboxName = Literal[
    "salt_and_pepper_noise", "binary_search_contrast_reduction", "gaussian_blur", "linear_search_blended_uniform_noise",
    "l0_fmn", "l1_fmn", "ead",
]  # fmt: skip
Name = Annotated[str, Field(pattern=r"^[a-z0-9_+]+$")]


def _with_decimal_point(value: object) -> object:
    """The paths in dvc.yaml spell λ as the file does, and those of a cell as Python does: `2.0`."""
    if isinstance(value, int):
        raise ValueError(f"write {value}.0")
    return value


class Section(BaseModel):
    """A section of `params.yaml`: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AdamWParams(Section):
    name: Literal["adamw"]
    lr: Positive
    weight_decay: NonNegative = 0.0
    warmup: Decay = 0.0


class SGDParams(Section):
    name: Literal["sgd"]
    lr: Positive
    momentum: Decay = 0.9
    weight_decay: NonNegative = 1e-4
    milestones: tuple[Fraction, ...] = Field((0.5, 0.75), strict=False)
    gamma: Fraction = 0.1


class AdamParams(Section):
    name: Literal["adam"]
    lr: Positive


OptimizerParams = Annotated[AdamWParams | SGDParams | AdamParams, Field(discriminator="name")]


class GridParams(Section):
    datasets: list[Name]
    architectures: list[Name]
    baselines: list[Name]
    heuristics: list[Name]
    aligned: list[Name]
    lambdas: list[Annotated[NonNegative, BeforeValidator(_with_decimal_point)]]


class ResNetParams(Section):
    family: Literal["resnet"]
    channels: tuple[Count, ...] = Field(strict=False)
    blocks: tuple[Count, ...] = Field(strict=False)
    norm: Literal["none", "batch", "group"]
    activation: Literal["silu", "relu"]

    @model_validator(mode="after")
    def _one_count_a_stage(self) -> Self:
        if len(self.channels) != len(self.blocks):
            raise ValueError("channels and blocks must have the same length")
        return self


class DataParams(Section):
    test_fraction: Fraction
    validation_fraction: Fraction
    split_seed: Annotated[int, Field(ge=0)]


class UNetParams(Section):
    base_channels: Count
    channel_mult: tuple[Count, ...] = Field(strict=False)
    num_res_blocks: Count
    attention_downsamplings: tuple[Count, ...] = Field(strict=False)
    num_heads: Count
    dropout: Decay = 0.0


class SamplesParams(Section):
    per_class: Count
    steps: Annotated[int, Field(ge=2)]


class DiffusionParams(Section):
    network: UNetParams
    schedule: Literal["linear", "cosine"]
    timesteps: Count
    train_at: Literal["all"] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    learned_variance: bool
    steps: Count
    batch_size: Count
    optimizer: OptimizerParams
    ema_decay: Decay
    samples: SamplesParams
    threads: Count


class OneImageParams(Section):
    source: Literal["one_image"]
    relative_to: Literal["image", "own_class"]
    choice: Literal["first", "random", "medoid"]


class ClassMeanParams(Section):
    source: Literal["class_mean"]
    relative_to: Literal["image", "own_class"]
    scale: Positive


class NearestNeighborParams(Section):
    source: Literal["nearest_neighbor"]
    relative_to: Literal["image", "own_class"]
    pool_per_class: Count


class ScoreBasedParams(Section):
    source: Literal["score_based"]
    timestep: Annotated[int, Field(ge=0)]
    draws: Count
    shard_size: Count


TargetParams = Annotated[
    OneImageParams | ClassMeanParams | NearestNeighborParams | ScoreBasedParams, Field(discriminator="source")
]


class AugmentationParams(Section):
    crop_padding: Annotated[int, Field(ge=0)]
    flip: bool


class ValidationAttackParams(Section):
    steps: Count
    threats: dict[Norm, Positive]


class TrainingParams(Section):
    threads: Count
    epochs: Count
    batch_size: Count
    optimizer: OptimizerParams
    augmentation: AugmentationParams
    validation_attack: ValidationAttackParams


class CrossEntropyParams(Section):
    objective: Literal["cross_entropy"]


class AdversarialParams(Section):
    objective: Literal["adversarial"]
    norm: Norm
    eps: Positive
    steps: Count
    relative_step: Positive


class AlignmentParams(Section):
    objective: Literal["alignment"]
    gradient: Gradient
    classes_per_step: Count


MethodParams = Annotated[CrossEntropyParams | AdversarialParams | AlignmentParams, Field(discriminator="objective")]


class ReferenceParams(Section):
    gradient: Gradient
    timestep: Annotated[int, Field(ge=0)]
    draws: Count


class TargetedParams(Section):
    norm: Norm
    eps: Positive
    steps: Count
    relative_step: Positive
    images: Count


class ThreatParams(Section):
    norm: Norm
    eps: Positive


class PGDParams(Section):
    steps: Count
    restarts: Count
    relative_step: Positive


class FoolboxAttackParams(Section):
    """ε in the attack's own norm; options by Foolbox's names, and what is not given is as Foolbox has it."""

    eps: Positive
    steps: Count | None = None
    binary_search_steps: Count | None = None
    directions: Count | None = None
    max_sigma: Positive | None = None
    max_stepsize: Positive | None = None
    gamma: Positive | None = None
    initial_stepsize: Positive | None = None
    initial_const: Positive | None = None
    regularization: Positive | None = None

    @property
    def options(self) -> dict[str, float]:
        """All but ε, where given."""
        return self.model_dump(exclude={"eps"}, exclude_none=True)


_FOOLBOX_OPTIONS: dict[str, set[str]] = {
    "salt_and_pepper_noise": {"steps"},
    "binary_search_contrast_reduction": {"binary_search_steps"},
    "gaussian_blur": {"steps", "max_sigma"},
    "linear_search_blended_uniform_noise": {"directions", "steps"},
    "l0_fmn": {"steps", "max_stepsize", "gamma"},
    "l1_fmn": {"steps", "max_stepsize", "gamma"},
    "ead": {"binary_search_steps", "steps", "initial_stepsize", "initial_const", "regularization"},
}


class FoolboxParams(Section):
    attacks: Annotated[dict[FoolboxName, FoolboxAttackParams], Field(min_length=1)]
    examples: Count | None
    block_size: Count

    @model_validator(mode="after")
    def _options_are_of_their_attack(self) -> Self:
        for name, attack in self.attacks.items():
            known = _FOOLBOX_OPTIONS[name]
            for option in attack.options:
                if option not in known:
                    raise ValueError(f"attacks.{name} has no option {option!r} (it has {', '.join(sorted(known))})")
        return self


class EvaluationParams(Section):
    threats: Annotated[dict[Name, ThreatParams], Field(min_length=1)]
    examples: Count | None
    block_size: Count
    confidence: Fraction
    pgd: PGDParams | None = None
    foolbox: FoolboxParams | None = None
    alignment: ReferenceParams
    targeted: TargetedParams

    @model_validator(mode="after")
    def _threats_differ(self) -> Self:
        for name, threat in self.threats.items():
            same = next(other for other, of in self.threats.items() if of == threat)
            if same != name:
                raise ValueError(f"threats.{name} is the same as threats.{same}")
        return self


class FiguresParams(Section):
    images: Count
    timesteps: list[Annotated[int, Field(ge=0)]]


class DatasetParams(Section):
    data: DataParams
    diffusion: DiffusionParams
    targets: dict[Name, TargetParams]
    training: TrainingParams
    methods: dict[Name, MethodParams]
    evaluation: EvaluationParams
    figures: FiguresParams

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
    grid: GridParams
    lambda_: dict[Name, dict[Name, dict[Name, NonNegative]]] = Field(alias="lambda")
    architectures: dict[Name, ResNetParams]
    datasets: dict[Name, DatasetParams]
    toy: ToyParams

    @model_validator(mode="after")
    def _grid_is_defined(self) -> Self:
        for name in self.grid.architectures:
            _require(name, self.architectures, "grid.architectures", "architectures")
        for name in self.grid.datasets:
            _require(name, self.datasets, "grid.datasets", "datasets")
            dataset = self.datasets[name]
            for method in (*self.grid.baselines, *self.grid.aligned):
                _require(method, dataset.methods, "grid.baselines and grid.aligned", f"datasets.{name}.methods")
            for source in self.grid.heuristics:
                _require(source, dataset.targets, "grid.heuristics", f"datasets.{name}.targets")
        return self

    def dataset(self, name: str) -> DatasetParams:
        """The section of one dataset; an unknown name raises `InputError`."""
        return _pick(self.datasets, name, "datasets")

    def architecture(self, name: str) -> ResNetParams:
        """The section of one architecture; an unknown name raises `InputError`."""
        return _pick(self.architectures, name, "architectures")

    def method(self, dataset: str, name: str) -> CrossEntropyParams | AdversarialParams | AlignmentParams:
        """How a method trains on a dataset; an unknown name raises `InputError`."""
        return _pick(self.dataset(dataset).methods, name, f"datasets.{dataset}.methods")

    def target(
        self, dataset: str, name: str
    ) -> OneImageParams | ClassMeanParams | NearestNeighborParams | ScoreBasedParams:
        """How a target store is made; an unknown name raises `InputError`."""
        return _pick(self.dataset(dataset).targets, name, f"datasets.{dataset}.targets")

    def lambda_of(self, dataset: str, architecture: str, method: str) -> float:
        """The weight of the alignment term in eq. (4); a missing entry raises `InputError`."""
        key = f"lambda.{dataset}"
        return _pick(_pick(_pick(self.lambda_, dataset, "lambda"), architecture, key), method, f"{key}.{architecture}")


def _require(name: str, known: dict[str, Any], where: str, section: str) -> None:
    if name not in known:
        raise ValueError(f"{where} names {name!r}, which {section} does not define (it has {', '.join(known)})")


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


def _key_path(raw: object, location: tuple[int | str, ...]) -> str:
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
    if location and isinstance(node, dict) and location[-1] not in names:
        names.append(str(location[-1]))  # a missing key
    return ".".join(names)


def _sentence(error: ValidationError, raw: dict[str, Any], path: Path) -> str:
    first = error.errors()[0]
    where = _key_path(raw, first["loc"])
    message = first["msg"].removeprefix("Value error, ")
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
