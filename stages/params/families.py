"""The options of each built-in family of architectures, by which params are checked before anything runs.

A stage reads an architecture's options as they are (`stages.params.architectures`), so that a new family re-trains nothing.
"""

from collections.abc import Mapping
from typing import Literal, Self

from pydantic import Field, model_validator

from stages.params.section import Decay, Section, Width

__all__ = ["FAMILIES", "FamilySection"]


class FamilySection(Section):
    """Options of a family."""


class ResNetParams(FamilySection):
    channels: tuple[Width, ...] = Field(strict=False, min_length=1)
    blocks: tuple[Width, ...] = Field(strict=False)
    norm: Literal["none", "batch", "group"]
    activation: Literal["silu", "relu"]

    @model_validator(mode="after")
    def _one_count_a_stage(self) -> Self:
        if len(self.channels) != len(self.blocks):
            raise ValueError("channels and blocks must have the same length")
        return self


class ViTParams(FamilySection):
    patch_size: Width
    width: Width
    depth: Width
    heads: Width
    hidden: Width
    dropout: Decay = 0.0


class VGGParams(FamilySection):
    depth: Literal[11, 13, 16]
    norm: Literal["none", "batch"]
    dropout: Decay = 0.5


class MLPMixerParams(FamilySection):
    patch_size: Width
    width: Width
    depth: Width
    token_hidden: Width
    channel_hidden: Width
    dropout: Decay = 0.0


class WideResNetParams(FamilySection):
    depth: Width
    width: Width
    dropout: Decay = 0.0
    duplicate_block: bool = False


FAMILIES: Mapping[str, type[FamilySection]] = {
    "resnet": ResNetParams,
    "vit": ViTParams,
    "vgg": VGGParams,
    "mlp_mixer": MLPMixerParams,
    "wide_resnet": WideResNetParams,
}
