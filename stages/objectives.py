"""What a method's training minimises, made of its section of params."""

from pag.attacks.pgd import PGD, step_size
from pag.attacks.threats import Threat
from pag.training.objectives import (
    AdversarialTraining,
    AlignedMargin,
    Alignment,
    BaseObjective,
    CrossEntropy,
    GradientNorm,
    Ramp,
    Trades,
)
from stages.params.methods import (
    AdversarialParams,
    AlignedMarginParams,
    AlignmentOptions,
    GradientNormParams,
    MethodSections,
    TradesParams,
)

__all__ = ["CountedObjective", "objective_of", "step_of"]

CountedObjective = BaseObjective | Alignment | AlignedMargin


def objective_of(method: MethodSections, num_classes: int, lambda_: float | None) -> CountedObjective:
    """The objective of a method; `lambda_` is λ of one that aligns."""
    alignment = method.alignment
    if alignment is None:
        return _base(method)
    assert lambda_ is not None
    if isinstance(method, AlignedMarginParams):
        threat = Threat(method.norm, method.eps)
        return AlignedMargin(threat, lambda_, num_classes, method.margin, method.path, method.temperature)
    ramp, scale = _ramp(alignment), alignment.classes_scale
    return Alignment(lambda_, num_classes, alignment.gradient, _base(method), ramp, scale)


def _base(method: MethodSections) -> BaseObjective:
    """What is minimised beside the alignment, if any."""
    if isinstance(method, AdversarialParams):
        return AdversarialTraining(
            PGD(Threat(method.norm, method.eps), method.steps, step_of(method), random_start=True)
        )
    if isinstance(method, TradesParams):
        threat, start_std = Threat(method.norm, method.eps), method.start_std
        attack = PGD(threat, method.steps, step_of(method), random_start=True, loss="kl", start_std=start_std)
        return Trades(attack, method.beta)
    if isinstance(method, GradientNormParams):
        return GradientNorm(method.norm, method.weight)
    return CrossEntropy()


def step_of(method: AdversarialParams | TradesParams) -> float:
    """α of an attack in training, given as it is or in units of ε / steps."""
    if method.step_size is not None:
        return method.step_size
    assert method.relative_step is not None
    return step_size(method.relative_step, method.eps, method.steps)


def _ramp(alignment: AlignmentOptions) -> Ramp | None:
    return None if alignment.ramp is None else Ramp(alignment.ramp.until, alignment.ramp.factor)
