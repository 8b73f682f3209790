"""Sections `data` of a data set: where its images come from."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from stages.params.section import Count, Fraction, Section, Side

__all__ = ["DATA_PARAMS", "DataParams"]

SplitSeed = Annotated[int, Field(ge=0, lt=2**32)]  # scikit-learn takes no larger one


class ImagesPerClassParams(Section):
    train: Count
    test: Count


class DataSection(Section):
    validation_fraction: Fraction
    split_seed: SplitSeed
    images_per_class: ImagesPerClassParams | None = None


class DigitsParams(DataSection):
    source: Literal["digits"]
    test_fraction: Fraction


class PublishedParams(DataSection):
    source: Literal["cifar10", "cifar100", "stl10", "tiny_imagenet"]


class FolderParams(DataSection):
    source: Literal["folder"]
    root: Annotated[str, Field(min_length=1)]
    image_size: Side
    grayscale: bool


DataSource = DigitsParams | PublishedParams | FolderParams
DataParams = Annotated[DataSource, Field(discriminator="source")]
DATA_PARAMS: TypeAdapter[DataSource] = TypeAdapter(DataParams)
