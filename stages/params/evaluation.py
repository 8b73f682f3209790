"""Section `evaluation` of a data set: what is measured on the test set (section 5)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pag.attacks.foolbox_options import FOOLBOX, FoolboxName
from pag.base.vocabulary import GradientOf, NormName
from stages.params.section import BatchSize, Count, Fraction, Name, Positive, Section
from stages.params.targets import DistilledParams

__all__ = [
    "CurveParams",
    "EvaluationParams",
    "FoolboxAttackParams",
    "PGDParams",
    "ReferenceParams",
    "TargetedParams",
    "ThreatParams",
]

OTHER_MEASURES = frozenset(
    {"clean", "alignment", "pgd", "foolbox", "curve"}
)  # columns and arrays that stand beside the threats'


class ReferenceParams(DistilledParams):
    gradient: GradientOf
    """Of which output the network's gradients are compared with score-based ones: `log_softmax` or `logit`."""


class TargetedParams(Section):
    """Targeted PGD, from test images towards classes, at a ladder of ε (figures 1, 2 and 9)."""

    norm: NormName
    """Of the ball."""
    eps: Positive
    """Its radius in figures, large: changes are to be seen (figures 1, 2 and 9)."""
    ladder: Annotated[list[Positive], Field(min_length=1)]
    """The radii that the page's explorer goes through, ascending, `eps` among them; each is an attack of its own."""
    steps: Count
    """Of PGD."""
    relative_step: Positive
    """The step size in units of ε / steps."""
    images: Count
    """Test images that are attacked, one of each of the first classes."""
    classes: Count
    """They are attacked towards each of the first so many classes."""

    @model_validator(mode="after")
    def _ladder_holds_eps(self) -> Self:
        if self.ladder != sorted(set(self.ladder)):
            raise ValueError("ladder must ascend")
        if self.eps not in self.ladder:
            raise ValueError(f"ladder does not hold eps, {self.eps:g}")
        return self


class ThreatParams(Section):
    norm: NormName
    """Of the ball."""
    eps: Positive
    """Its radius ε, in pixels of [0, 1]."""


class PGDParams(Section):
    steps: Count
    """Of PGD on the margin."""
    restarts: Count
    """From so many random starts."""
    relative_step: Positive
    """The step size in units of ε / steps."""


class CurveParams(Section):
    """Accuracy over ε under PGD on the margin, an upper bound of robust accuracy."""

    steps: Count
    """Of PGD."""
    relative_step: Positive
    """The step size in units of ε / steps."""
    fractions: Annotated[list[Positive], Field(min_length=1)]
    """The values of ε, ascending, in units of the smallest ε of each norm."""

    @model_validator(mode="after")
    def _fractions_ascend(self) -> Self:
        if self.fractions != sorted(set(self.fractions)):
            raise ValueError("fractions must ascend")
        return self


class FoolboxAttackParams(Section):
    """ε in the attack's own norm; options by Foolbox's names, and what is not given is as Foolbox has it."""

    eps: Positive
    """In the attack's own norm."""
    steps: Count | None = None
    """Iterations of the attack."""
    binary_search_steps: Count | None = None
    """Of a search for the least size."""
    directions: Count | None = None
    """That noise is tried in."""
    max_sigma: Positive | None = None
    """The widest blur."""
    max_stepsize: Positive | None = None
    """The largest step."""
    gamma: Positive | None = None
    """How much the size changes in a step."""
    initial_stepsize: Positive | None = None
    """The first step."""
    initial_const: Positive | None = None
    """Where the search for the weight of the size begins."""
    regularization: Positive | None = None
    """Weight of the L1 norm."""

    @property
    def options(self) -> dict[str, float]:
        """All but ε, where given."""
        return self.model_dump(exclude={"eps"}, exclude_none=True)


class FoolboxParams(Section):
    attacks: Annotated[dict[FoolboxName, FoolboxAttackParams], Field(min_length=1)]
    """By their names (appendix D, table 6)."""
    examples: Count | None
    """Of the test set, in its order; null: all."""
    block_size: BatchSize
    """Examples that are attacked together."""

    @model_validator(mode="after")
    def _options_are_of_their_attack(self) -> Self:
        for name, attack in self.attacks.items():
            known = FOOLBOX[name].options
            for option in attack.options:
                if option not in known:
                    raise ValueError(f"attacks.{name} has no option {option!r} (it has {', '.join(sorted(known))})")
        return self


class EvaluationParams(Section):
    threats: Annotated[dict[Name, ThreatParams], Field(min_length=1)]
    """Of AutoAttack and PGD, by any names (section 5.2)."""
    examples: Count | None
    """Of the test set, in its order, under attack; null: all."""
    block_size: BatchSize
    """Examples that are attacked together: attacks draw for a whole block, so that it belongs to what is measured."""
    confidence: Fraction
    """Of intervals."""
    pgd: PGDParams | None = None
    """PGD from several random starts, beside AutoAttack; null: none."""
    foolbox: FoolboxParams | None = None
    """Foolbox's attacks of table 6; null: none."""
    curve: CurveParams | None = None
    """Accuracy over ε; null: none."""
    alignment: ReferenceParams
    """The score-based gradients at test images that alignment is measured against."""
    targeted: TargetedParams
    """The large targeted attack whose images are shown."""
    sanity: Literal["basic", "full"] = "basic"
    """Checks of the evaluation (docs/sanity.md): `basic`, or `full` with further attacks on every network."""

    @property
    def main_threats(self) -> dict[str, ThreatParams]:
        """Of each norm the threat of smallest ε, by name."""
        descending = sorted(self.threats, key=lambda name: -self.threats[name].eps)
        smallest = {self.threats[name].norm: name for name in descending}.values()
        return {name: threat for name, threat in self.threats.items() if name in smallest}

    @model_validator(mode="after")
    def _threats_have_names_of_their_own(self) -> Self:
        for name in OTHER_MEASURES & self.threats.keys():
            raise ValueError(f"threats.{name} has the name of another measure")
        return self

    @model_validator(mode="after")
    def _threats_differ(self) -> Self:
        for name, threat in self.threats.items():
            same = next(other for other, of in self.threats.items() if of == threat)
            if same != name:
                raise ValueError(f"threats.{name} is the same as threats.{same}")
        return self
