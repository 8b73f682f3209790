"""What all sections of `params.yaml` have in common: closed keys, numbers with their ranges, names; and the optimisers."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Count", "Decay", "Finite", "Fraction", "Gradient", "Name", "NonNegative", "Norm", "OptimizerParams", "Positive",
    "Precision", "Section",
]  # fmt: skip

Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Gradient = Literal["log_softmax", "logit"]
Norm = Literal["l2", "linf"]
Precision = Literal["float32", "tf32", "bfloat16"]
Name = Annotated[str, Field(pattern=r"^[a-z0-9_+]+$")]


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
