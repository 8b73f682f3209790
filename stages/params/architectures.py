"""Sections of `architectures`: a network of each family, and how it normalises pixels."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from stages.params.section import Count, Decay, Finite, Positive, Section

__all__ = ["Architecture", "ArchitectureParams"]


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


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
