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


class TargetedParams(Section):
    """Targeted PGD at each ε of `ladder`, from the first test image of each of the first `images` classes towards each of the first
    `classes`; figures show it at `eps`.
    """

    norm: NormName
    eps: Positive
    ladder: Annotated[list[Positive], Field(min_length=1)]
    steps: Count
    relative_step: Positive
    images: Count
    classes: Count

    @model_validator(mode="after")
    def _ladder_holds_eps(self) -> Self:
        if self.ladder != sorted(set(self.ladder)):
            raise ValueError("ladder must ascend")
        if self.eps not in self.ladder:
            raise ValueError(f"ladder does not hold eps, {self.eps:g}")
        return self


class ThreatParams(Section):
    norm: NormName
    eps: Positive


class PGDParams(Section):
    steps: Count
    restarts: Count
    relative_step: Positive


class CurveParams(Section):
    """Accuracy over ε under PGD on the margin; `fractions` are of the smallest ε of each norm."""

    steps: Count
    relative_step: Positive
    fractions: Annotated[list[Positive], Field(min_length=1)]

    @model_validator(mode="after")
    def _fractions_ascend(self) -> Self:
        if self.fractions != sorted(set(self.fractions)):
            raise ValueError("fractions must ascend")
        return self


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


class FoolboxParams(Section):
    attacks: Annotated[dict[FoolboxName, FoolboxAttackParams], Field(min_length=1)]
    examples: Count | None
    block_size: BatchSize

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
    examples: Count | None
    block_size: BatchSize
    confidence: Fraction
    pgd: PGDParams | None = None
    foolbox: FoolboxParams | None = None
    curve: CurveParams | None = None
    alignment: ReferenceParams
    targeted: TargetedParams
    sanity: Literal["basic", "full"] = "basic"

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
