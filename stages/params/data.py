"""Sections `data` of a data set: where its images come from."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from stages.params.section import Count, Fraction, Section, Side

__all__ = ["DATA_PARAMS", "DataParams"]

SplitSeed = Annotated[int, Field(ge=0, lt=2**32)]  # scikit-learn takes no larger one


class ImagesPerClassParams(Section):
    train: Count
    """Of the training set."""
    test: Count
    """Of the test set."""


class DataSection(Section):
    validation_fraction: Fraction
    """Of the training images, to choose numbers by."""
    split_seed: SplitSeed
    """Of the draw of the validation split, and of the test split where there is none."""
    images_per_class: ImagesPerClassParams | None = None
    """So many of each class alone; null: all."""


class DigitsParams(DataSection):
    source: Literal["digits"]
    """`digits`: scikit-learn's."""
    test_fraction: Fraction
    """Of all images."""


class PublishedParams(DataSection):
    source: Literal["cifar10", "cifar100", "stl10", "tiny_imagenet"]
    """A published data set, which is downloaded."""


class FolderParams(DataSection):
    source: Literal["folder"]
    """`folder`: a folder of images, one folder a class."""
    root: Annotated[str, Field(min_length=1)]
    """The folder."""
    image_size: Side
    """Height and width that images are resized to."""
    grayscale: bool
    """Whether images have one channel."""


DataSource = DigitsParams | PublishedParams | FolderParams
DataParams = Annotated[DataSource, Field(discriminator="source")]
DATA_PARAMS: TypeAdapter[DataSource] = TypeAdapter(DataParams)
