"""Sections of `methods` of a data set: what training minimises (sections 3 and 6), and what a method is, as results keep it."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from pag.base.vocabulary import ClassesScale, GradientOf, Method, NormName, RelativeTo, SourceKind
from stages.params.architectures import read_architecture
from stages.params.reading import Params
from stages.params.section import Count, Fraction, Name, NonNegative, Positive, Section
from stages.params.targets import TARGET, HeuristicParams, Target
from stages.params.training import MethodTraining, TrainingParams

__all__ = [
    "AdversarialParams",
    "AlignmentOptions",
    "MethodParams",
    "MethodSections",
    "TradesParams",
    "as_value",
    "describe",
    "method_section",
    "reads_targets",
    "source_of",
    "training_section",
]

KIND_LABELS: Mapping[SourceKind, str] = {
    "one_image": "OI",
    "class_mean": "CM",
    "nearest_neighbor": "NN",
    "score_based": "SBG",
    "imported": "imported",
}
NORM_LABELS: Mapping[NormName, str] = {"l2": "L₂", "linf": "L∞"}


class RampParams(Section):
    until: Fraction
    factor: NonNegative


class AlignmentOptions(Section):
    """How gradients are aligned; without `targets` the store is the one of the method's own name."""

    targets: Name | None = None
    gradient: GradientOf
    classes_per_step: Count
    classes_scale: ClassesScale = "expectation"
    classes_shared: bool = False
    ramp: RampParams | None = None


class MethodSection(Section):
    """What all methods have; `label` is what tables and figures call one, where its parts do not say it."""

    label: str | None = None
    training: MethodTraining = MethodTraining()


class CrossEntropyParams(MethodSection):
    objective: Literal["cross_entropy"]

    @property
    def alignment(self) -> None:
        return None


class PGDMethodParams(MethodSection):
    norm: NormName
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


MethodSections = CrossEntropyParams | AdversarialParams | TradesParams | AlignmentParams
MethodParams = Annotated[MethodSections, Field(discriminator="objective")]
METHOD: TypeAdapter[MethodSections] = TypeAdapter(MethodParams)


def training_section(params: Params, dataset: str, architecture: str, method: str) -> TrainingParams:
    """What a classifier trains with: the data set's `training`, with the architecture's own values, then the method's."""
    usual = params.dataset(dataset).read("training", TrainingParams)
    of_architecture = read_architecture(params, architecture).training
    return method_section(params, dataset, method).training.applied_to(of_architecture.applied_to(usual))


def method_section(params: Params, dataset: str, name: str) -> MethodSections:
    """How a method trains on a data set.

    Raises:
        InputError: the data set does not define it.
    """
    return params.dataset(dataset).read(f"methods.{name}", METHOD)


def source_of(name: str, method: MethodSections) -> str | None:
    """The target store that the method `name` reads: the one of its own name unless it says another; None without alignment."""
    return None if method.alignment is None else method.alignment.targets or name


def reads_targets(params: Params, dataset: str, method: str) -> bool:
    """Whether a data set's method reads targets, or the generated images that go with them.

    It decides where its cells lie, and is no parameter of what comes of them.
    """
    section = METHOD.validate_python(params.dataset(dataset).content["methods"][method])
    return source_of(method, section) is not None or section.training.generated is not None


def describe(params: Params, dataset: str, name: str) -> Method:
    """What a method is, as results keep it.

    Raises:
        InputError: the data set defines no such method, or not the targets that it reads.
    """
    method = method_section(params, dataset, name)
    source = source_of(name, method)
    target = None if source is None else params.dataset(dataset).read(f"targets.{source}", TARGET)
    return as_value(name, method, target)


def as_value(name: str, method: MethodSections, target: Target | None) -> Method:
    """The value of the method `name`, which reads targets that are made as `target` says; None without alignment."""
    kind = None if target is None else target.source
    relative_to = target.relative_to if isinstance(target, HeuristicParams) else None
    source = source_of(name, method)
    label = method.label or _label(method, kind, relative_to)
    return Method(name=name, objective=method.objective, source=source, kind=kind, relative_to=relative_to, label=label)


def _label(method: MethodSections, kind: SourceKind | None, relative_to: RelativeTo | None) -> str:
    """In the paper's words: `AT L₂ + SBG`, `NN (own class)`, `Vanilla`; with generated images, `SBG, generated`."""
    parts = []
    if isinstance(method, AdversarialParams):
        parts.append(f"AT {NORM_LABELS[method.norm]}")
    elif isinstance(method, TradesParams):
        parts.append("TRADES")
    if kind is not None:
        parts.append(KIND_LABELS[kind] + (" (own class)" if relative_to == "own_class" else ""))
    label = " + ".join(parts) or "Vanilla"
    return label if method.training.generated is None else f"{label}, generated"
