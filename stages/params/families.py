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
    """Of each stage; from the second on a stage halves the resolution."""
    blocks: tuple[Width, ...] = Field(strict=False)
    """Residual blocks of each stage."""
    norm: Literal["none", "batch", "group"]
    """Between layers."""
    activation: Literal["silu", "relu"]
    """Between layers; a smooth one has gradients that can be aligned everywhere."""

    @model_validator(mode="after")
    def _one_count_a_stage(self) -> Self:
        if len(self.channels) != len(self.blocks):
            raise ValueError("channels and blocks must have the same length")
        return self


class ViTParams(FamilySection):
    patch_size: Width
    """Pixels of a side of a patch."""
    width: Width
    """Of a token."""
    depth: Width
    """Blocks."""
    heads: Width
    """Of attention."""
    hidden: Width
    """Width of the layer inside a block."""
    dropout: Decay = 0.0
    """In each block."""


class VGGParams(FamilySection):
    depth: Literal[11, 13, 16]
    """Layers with weights."""
    norm: Literal["none", "batch"]
    """Between layers."""
    dropout: Decay = 0.5
    """Before the last layers."""


class MLPMixerParams(FamilySection):
    patch_size: Width
    """Pixels of a side of a patch."""
    width: Width
    """Of a token."""
    depth: Width
    """Blocks."""
    token_hidden: Width
    """Width inside the mixing of tokens."""
    channel_hidden: Width
    """Width inside the mixing of channels."""
    dropout: Decay = 0.0
    """In each block."""


class WideResNetParams(FamilySection):
    depth: Width
    """Layers with weights."""
    width: Width
    """What the channels are multiplied by."""
    dropout: Decay = 0.0
    """In each block."""
    duplicate_block: bool = False
    """Whether there is the unused block that TRADES's public checkpoints have."""


FAMILIES: Mapping[str, type[FamilySection]] = {
    "resnet": ResNetParams,
    "vit": ViTParams,
    "vgg": VGGParams,
    "mlp_mixer": MLPMixerParams,
    "wide_resnet": WideResNetParams,
}
