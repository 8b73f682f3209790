"""The typed schema of `params.yaml`: unknown keys, wrong types and impossible values raise with the key's path."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from pag.errors import InputError

__all__ = ["DatasetParams", "Params", "load_params"]

T = TypeVar("T")
Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
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


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


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


class CombinedParams(Section):
    """Methods `<base>+<targets>`, every base with every store: `at_l2+score_based`."""

    bases: list[Name]
    targets: list[Name]

    @property
    def methods(self) -> dict[str, str]:
        """The store that each method reads."""
        return {f"{base}+{targets}": targets for base in self.bases for targets in self.targets}


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


class NormalizationParams(Section):
    """One number for all channels, or a list of one for each."""

    mean: Annotated[tuple[Finite, ...], BeforeValidator(_listed), Field(strict=False, min_length=1)]
    std: Annotated[tuple[Positive, ...], BeforeValidator(_listed), Field(strict=False, min_length=1)]


class ArchitectureSection(Section):
    normalization: NormalizationParams = NormalizationParams(mean=(0.5,), std=(0.5,))


class ResNetParams(ArchitectureSection):
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


class ViTParams(ArchitectureSection):
    family: Literal["vit"]
    patch_size: Count
    width: Count
    depth: Count
    heads: Count
    hidden: Count
    dropout: Decay = 0.0


class VGGParams(ArchitectureSection):
    family: Literal["vgg"]
    depth: Literal[11, 13, 16]
    norm: Literal["none", "batch"]
    dropout: Decay = 0.5


class MLPMixerParams(ArchitectureSection):
    family: Literal["mlp_mixer"]
    patch_size: Count
    width: Count
    depth: Count
    token_hidden: Count
    channel_hidden: Count
    dropout: Decay = 0.0


class WideResNetParams(ArchitectureSection):
    family: Literal["wide_resnet"]
    depth: Count
    width: Count
    dropout: Decay = 0.0
    duplicate_block: bool = False


Architecture = ResNetParams | ViTParams | VGGParams | MLPMixerParams | WideResNetParams
ArchitectureParams = Annotated[Architecture, Field(discriminator="family")]


class ImagesPerClassParams(Section):
    train: Count
    test: Count


class DataSection(Section):
    validation_fraction: Fraction
    split_seed: Annotated[int, Field(ge=0)]
    images_per_class: ImagesPerClassParams | None = None


class DigitsParams(DataSection):
    source: Literal["digits"]
    test_fraction: Fraction


class PublishedParams(DataSection):
    source: Literal["cifar10", "cifar100", "stl10", "tiny_imagenet"]


class FolderParams(DataSection):
    source: Literal["folder"]
    root: Annotated[str, Field(min_length=1)]
    image_size: Count
    grayscale: bool


DataParams = Annotated[DigitsParams | PublishedParams | FolderParams, Field(discriminator="source")]


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
    image_size: Count | None = None
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


class DistilledParams(Section):
    """Score-based gradients: at which t, of how many draws of noise, towards how many classes (None: all), kept as what type."""

    timestep: Annotated[int, Field(ge=0)]
    draws: Count
    classes_per_image: Count | None = None
    dtype: Literal["float16", "int8"] = "float16"


class ScoreBasedParams(DistilledParams):
    source: Literal["score_based"]
    shard_size: Count


class ImportedParams(Section):
    """A store that `pag import targets` wrote."""

    source: Literal["imported"]
    shard_size: Count


Target = OneImageParams | ClassMeanParams | NearestNeighborParams | ScoreBasedParams | ImportedParams
TargetParams = Annotated[Target, Field(discriminator="source")]


class AugmentationParams(Section):
    crop_padding: Annotated[int, Field(ge=0)]
    flip: bool


class ValidationAttackParams(Section):
    steps: Count
    threats: dict[Norm, Positive]


class BatchStatisticsParams(Section):
    """Batch norm as it is: the batch's statistics throughout training."""

    statistics: Literal["batch"]

    @property
    def frozen_from(self) -> None:
        return None


class FrozenStatisticsParams(Section):
    """Batch norm keeps its running statistics from a fraction of the run on."""

    statistics: Literal["frozen"]
    after: Fraction

    @property
    def frozen_from(self) -> float:
        return self.after


BatchNormParams = Annotated[BatchStatisticsParams | FrozenStatisticsParams, Field(discriminator="statistics")]


class TrainingParams(Section):
    threads: Count
    epochs: Count
    batch_size: Count
    optimizer: OptimizerParams
    augmentation: AugmentationParams
    batch_norm: BatchNormParams = BatchStatisticsParams(statistics="batch")
    validation_attack: ValidationAttackParams


class TrainingOverrides(Section):
    """What a method trains with instead of what its dataset's `training` says; None: the same."""

    epochs: Count | None = None
    batch_size: Count | None = None
    optimizer: OptimizerParams | None = None
    batch_norm: BatchNormParams | None = None

    def applied_to(self, training: TrainingParams) -> TrainingParams:
        given = {name: value for name, value in self if value is not None}
        return training.model_copy(update=given)


class RampParams(Section):
    until: Fraction
    factor: NonNegative


class AlignmentOptions(Section):
    """How gradients are aligned; without `targets` the store is named by the method: `nearest_neighbor`, `trades+score_based`."""

    targets: Name | None = None
    gradient: Gradient
    classes_per_step: Count
    classes_shared: bool = False
    ramp: RampParams | None = None


class MethodSection(Section):
    training: TrainingOverrides = TrainingOverrides()


class CrossEntropyParams(MethodSection):
    objective: Literal["cross_entropy"]

    @property
    def alignment(self) -> None:
        return None


class PGDMethodParams(MethodSection):
    norm: Norm
    eps: Positive
    steps: Count
    relative_step: Positive | None = None  # in units of ε / steps
    step_size: Positive | None = None
    alignment: AlignmentOptions | None = None

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        if (self.relative_step is None) == (self.step_size is None):
            raise ValueError("give either relative_step, in units of eps/steps, or step_size")
        return self

    @property
    def step(self) -> float:
        """The size of a step, in the units of ε."""
        if self.step_size is not None:
            return self.step_size
        assert self.relative_step is not None
        return self.relative_step * self.eps / self.steps


class AdversarialParams(PGDMethodParams):
    objective: Literal["adversarial"]


class TradesParams(PGDMethodParams):
    objective: Literal["trades"]
    beta: NonNegative
    start_std: Positive = 1e-3


class AlignmentParams(AlignmentOptions, MethodSection):
    """Cross-entropy with alignment, eq. (4)."""

    objective: Literal["alignment"]

    @property
    def alignment(self) -> AlignmentOptions:
        return self


Method = CrossEntropyParams | AdversarialParams | TradesParams | AlignmentParams
MethodParams = Annotated[Method, Field(discriminator="objective")]


class ReferenceParams(DistilledParams):
    gradient: Gradient


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

    def source(self, method: str) -> str | None:
        """The target store that a method reads: what its `targets` says, else its name's part after the last `+`; or None."""
        alignment = self.methods[method].alignment
        return None if alignment is None else alignment.targets or method.rpartition("+")[2]

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
