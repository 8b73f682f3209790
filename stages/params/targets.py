"""Sections of `targets` of a data set: the sources of target gradients (section 4)."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from pag.base.vocabulary import RelativeTo
from stages.params.section import BatchSize, Count, Index, Positive, Section

__all__ = [
    "TARGET",
    "ClassMeanParams",
    "DistilledParams",
    "HeuristicParams",
    "ImportedParams",
    "NearestNeighborParams",
    "OneImageParams",
    "ScoreBasedParams",
    "Target",
    "TargetParams",
]


class OneImageParams(Section):
    source: Literal["one_image"]
    relative_to: RelativeTo
    choice: Literal["first", "random", "medoid"]


class ClassMeanParams(Section):
    source: Literal["class_mean"]
    relative_to: RelativeTo
    scale: Positive


class NearestNeighborParams(Section):
    source: Literal["nearest_neighbor"]
    relative_to: RelativeTo
    pool_per_class: Count


class DistilledParams(Section):
    """Score-based gradients: at which t, of how many draws of noise, towards how many classes (None: all), kept as what type, and
    whether torch's compiler makes the network fast.
    """

    timestep: Index
    draws: Count
    classes_per_image: Count | None = None
    dtype: Literal["float16", "int8"] = "float16"
    compiled: bool = False


class ScoreBasedParams(DistilledParams):
    source: Literal["score_based"]
    shard_size: BatchSize


class ImportedParams(Section):
    """A store that `pag import targets` wrote."""

    source: Literal["imported"]
    shard_size: BatchSize


HeuristicParams = OneImageParams | ClassMeanParams | NearestNeighborParams
Target = HeuristicParams | ScoreBasedParams | ImportedParams
TargetParams = Annotated[Target, Field(discriminator="source")]
TARGET: TypeAdapter[Target] = TypeAdapter(TargetParams)
