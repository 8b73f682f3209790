"""Sections of `architectures`: a network of each family or of one's own, and how it normalises pixels."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Discriminator, Field, JsonValue, Tag, model_validator

from pag.networks.families import FAMILIES, OWN_FAMILY
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


class OwnParams(ArchitectureSection):
    """One's own network, `package.module:ClassName`; the other keys are the keyword arguments of its class."""

    model_config = ConfigDict(extra="allow")

    __pydantic_extra__: dict[str, JsonValue]
    family: Annotated[str, Field(pattern=OWN_FAMILY)]

    @model_validator(mode="after")
    def _options_are_its_own(self) -> Self:
        for name in ("image_shape", "num_classes"):
            if name in self.__pydantic_extra__:
                raise ValueError(f"{name} is given by the data set")
        return self


def _kind(section: Any) -> Any:  # noqa: ANN401
    """Which of the classes a section is of: its family, or `own`."""
    family = section.get("family") if isinstance(section, dict) else getattr(section, "family", None)
    return "own" if isinstance(family, str) and ":" in family else family


Architecture = ResNetParams | ViTParams | VGGParams | MLPMixerParams | WideResNetParams | OwnParams
ArchitectureParams = Annotated[
    Annotated[ResNetParams, Tag("resnet")]
    | Annotated[ViTParams, Tag("vit")]
    | Annotated[VGGParams, Tag("vgg")]
    | Annotated[MLPMixerParams, Tag("mlp_mixer")]
    | Annotated[WideResNetParams, Tag("wide_resnet")]
    | Annotated[OwnParams, Tag("own")],
    Discriminator(
        _kind,
        custom_error_type="unknown_family",
        custom_error_message=f"family must be one of {', '.join(FAMILIES)}, or one's own as module:Class",
    ),
]
