"""Sections of `methods` of a data set: what training minimises (sections 3 and 6), and what a method is, as results keep it."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, model_validator

from pag.base.vocabulary import ClassesScale, GradientOf, MarginPath, Method, NormName, RelativeTo, SourceKind
from stages.params.architectures import read_architecture
from stages.params.reading import Params
from stages.params.section import Count, Fraction, Name, NonNegative, Positive, Section
from stages.params.targets import TARGET, HeuristicParams, Target
from stages.params.training import MethodTraining, TrainingParams

__all__ = [
    "AdversarialParams",
    "AlignedMarginParams",
    "AlignmentOptions",
    "GradientNormParams",
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
    "kernel": "Kernel",
    "score_based": "SBG",
    "teacher": "Teacher",
    "imported": "imported",
    "own": "own targets",
}
USUAL_FORMS: Mapping[SourceKind, RelativeTo] = {"kernel": "own_class"}  # what a label need not say; else the paper's
NORM_LABELS: Mapping[NormName, str] = {"l2": "L₂", "linf": "L∞"}


class RampParams(Section):
    until: Fraction
    """The fraction of the run up to which λ is multiplied."""
    factor: NonNegative
    """What λ is multiplied by until then."""


class AlignmentOptions(Section):
    """How gradients are aligned; without `targets` the store is the one of the method's own name.

    With `relative_to` a store of scores is read relative to the own class, `pag.targets.relative.OwnClass`: it serves both forms.
    """

    targets: Name | None = None
    """The target store that is read; null: the one of the method's own name."""
    relative_to: Literal["own_class"] | None = None
    """`own_class`: of stored scores those towards c less those towards the image's own class."""
    gradient: GradientOf
    """Of which output gradients are aligned: `log_softmax`, what the authors trained, or `logit`, eq. (4) as written.
    """
    classes_per_step: Count
    """k: for how many of the C classes gradients are aligned at each step, drawn for each image; C is eq. (4) exactly.
    A step costs 3 + 3k forward passes.
    """
    classes_scale: ClassesScale = "expectation"
    """What λ weighs where k < C: `expectation`, C times the mean over the drawn classes, whose expectation is eq. (4);
    or `drawn`, their sum.
    """
    classes_shared: bool = False
    """Whether a batch has one draw of classes."""
    ramp: RampParams | None = None
    """Another λ at the beginning of the run, as in the authors' code for the ViT."""


class MethodSection(Section):
    """What all methods have; `label` is what tables and figures call one, where its parts do not say it."""

    label: str | None = None
    """What tables and figures call the method, where its parts do not say it."""
    training: MethodTraining = MethodTraining()
    """What it trains with instead of what the data set's `training` says."""


class CrossEntropyParams(MethodSection):
    objective: Literal["cross_entropy"]
    """`cross_entropy`: eq. (2), the paper's vanilla."""

    @property
    def alignment(self) -> None:
        return None


class PGDMethodParams(MethodSection):
    norm: NormName
    """Of the ball within which images are perturbed while training."""
    eps: Positive
    """Its radius ε, in pixels of [0, 1]."""
    steps: Count
    """Of PGD: 7 in the paper."""
    relative_step: Positive | None = None
    """The step size in units of ε / steps."""
    step_size: Positive | None = None
    """The step size as it is, in place of relative_step."""
    alignment: AlignmentOptions | None = None
    """Gradients are aligned as well (section 6); null: they are not."""

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        if (self.relative_step is None) == (self.step_size is None):
            raise ValueError("give either relative_step, in units of eps/steps, or step_size")
        return self


class AdversarialParams(PGDMethodParams):
    objective: Literal["adversarial"]
    """`adversarial`: cross-entropy at images that PGD has perturbed, eq. (3)."""


class TradesParams(PGDMethodParams):
    objective: Literal["trades"]
    """`trades`: cross-entropy, and the divergence of predictions on perturbed images (appendix G.3)."""
    beta: NonNegative
    """Weight of the divergence."""
    start_std: Positive = 1e-3
    """Standard deviation of the noise that the attack starts from."""


class GradientNormParams(MethodSection):
    """The gradient of the cross-entropy is kept small in the norm that is dual to `norm`."""

    objective: Literal["gradient_norm"]
    """`gradient_norm`: cross-entropy, and the norm of its input gradient; not in the paper."""
    norm: NormName
    """Of the threat; the gradient's is dual to it."""
    weight: NonNegative
    """Of the gradient's norm: to first order an ε of adversarial training."""
    alignment: AlignmentOptions | None = None
    """Gradients are aligned as well; null: they are not."""


class AlignmentParams(AlignmentOptions, MethodSection):
    """Cross-entropy with alignment, eq. (4)."""

    objective: Literal["alignment"]
    """`alignment`: cross-entropy with alignment, eq. (4)."""

    @property
    def alignment(self) -> AlignmentOptions:
        return self


class AlignedMarginParams(MethodSection):
    """The aligned margin: λ is of `lambda`, as for alignment; `margin` weighs its third term."""

    objective: Literal["aligned_margin"]
    """`aligned_margin`: the loss along a stored direction, with alignment and the margin; not in the paper."""
    norm: NormName
    """Of the ball along whose radius images are moved."""
    eps: Positive
    """Its radius ε, in pixels of [0, 1]."""
    path: MarginPath = "stored"
    """Along what: a `stored` target gradient, a `random` direction, or `none`."""
    margin: NonNegative = 1.0
    """μ, the weight of the margin term."""
    temperature: Positive = 2.0
    """T: of the probabilities by which classes are drawn."""
    targets: Name | None = None
    """The target store that is read; null: the one of the method's own name."""
    relative_to: Literal["own_class"] | None = None
    """`own_class`: of stored scores those towards c less those towards the image's own class."""
    classes_per_step: Count
    """Classes that are drawn for each image and step."""

    @property
    def alignment(self) -> AlignmentOptions:
        """With what the cosine on the validation split is measured by, as for other methods."""
        k = self.classes_per_step
        return AlignmentOptions(
            targets=self.targets, relative_to=self.relative_to, gradient="log_softmax", classes_per_step=k
        )


MethodSections = (
    CrossEntropyParams | AdversarialParams | TradesParams | GradientNormParams | AlignmentParams | AlignedMarginParams
)
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
    read = None if method.alignment is None else method.alignment.relative_to
    relative_to = target.relative_to if isinstance(target, HeuristicParams) else read
    source = source_of(name, method)
    label = method.label or _label(method, kind, relative_to)
    return Method(name=name, objective=method.objective, source=source, kind=kind, relative_to=relative_to, label=label)


def _label(method: MethodSections, kind: SourceKind | None, relative_to: RelativeTo | None) -> str:
    """In the paper's words where it has some: `AT L₂ + SBG`, `NN (own class)`, `Vanilla`, `SBG, generated`."""
    parts = []
    if isinstance(method, AdversarialParams):
        parts.append(f"AT {NORM_LABELS[method.norm]}")
    elif isinstance(method, TradesParams):
        parts.append("TRADES")
    elif isinstance(method, GradientNormParams):
        parts.append(f"gradient norm {NORM_LABELS[method.norm]}")
    elif isinstance(method, AlignedMarginParams):
        parts.append(f"aligned margin {NORM_LABELS[method.norm]}")
    if kind is not None:
        told = relative_to not in (None, USUAL_FORMS.get(kind, "image"))
        parts.append(KIND_LABELS[kind] + (f" ({relative_to.replace('_', ' ')})" if relative_to and told else ""))
    label = " + ".join(parts) or "Vanilla"
    return label if method.training.generated is None else f"{label}, generated"
