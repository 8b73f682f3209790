"""Sections of `architectures`: a family of networks, built-in or one's own, with its options and its normalisation."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from stages.params.reading import Params
from stages.params.section import Finite, Positive, Section
from stages.params.training import TrainingOverrides

__all__ = ["ArchitectureParams", "read_architecture"]


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


class NormalizationParams(Section):
    """One number for all channels, or a list of one for each."""

    mean: Annotated[tuple[Finite, ...], BeforeValidator(_listed), Field(strict=False, min_length=1)]
    """That is subtracted from pixels."""
    std: Annotated[tuple[Positive, ...], BeforeValidator(_listed), Field(strict=False, min_length=1)]
    """That they are divided by."""


class ArchitectureParams(BaseModel):
    """A network; keys beside those below are options of its family, whose own schema `stages.params.families` has."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True, use_attribute_docstrings=True)

    family: Annotated[str, Field(pattern=r"^([a-z0-9_]+|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$")]
    """A module of `pag.networks.architectures`, or `package.module:Class` of one's own."""
    normalization: NormalizationParams = NormalizationParams(mean=(0.5,), std=(0.5,))
    """`(x − mean) / std`, inside the classifier."""
    training: TrainingOverrides = TrainingOverrides()
    """What the network trains with instead of what a data set's `training` says."""

    @property
    def options(self) -> Mapping[str, Any]:
        """What `pag.networks.architectures.build` takes, and what a classifier's `config.json` keeps."""
        return {
            "family": self.family,
            **(self.model_extra or {}),
            "normalization": self.normalization.model_dump(mode="json"),
        }


def read_architecture(params: Params, name: str) -> ArchitectureParams:
    """The section of an architecture.

    Raises:
        InputError: there is none, or it is not of this form.
    """
    return params.main.read(f"architectures.{name}", ArchitectureParams)
