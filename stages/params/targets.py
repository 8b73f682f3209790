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
    "KernelParams",
    "NearestNeighborParams",
    "OneImageParams",
    "ScoreBasedParams",
    "Target",
    "TargetParams",
    "TeacherParams",
]

RepresentativesRelativeTo = Literal["image", "own_class"]
Bandwidth = Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]


class OneImageParams(Section):
    source: Literal["one_image"]
    relative_to: RepresentativesRelativeTo
    choice: Literal["first", "random", "medoid"]


class ClassMeanParams(Section):
    source: Literal["class_mean"]
    relative_to: RepresentativesRelativeTo
    scale: Positive


class NearestNeighborParams(Section):
    source: Literal["nearest_neighbor"]
    relative_to: RepresentativesRelativeTo
    pool_per_class: Count


class KernelParams(Section):
    """Kernel densities (`pag.targets.kernel`): of which σ, in which space (None: pixels), kept as what.

    Of `neighbors` a class as many, with their weights; without it gradients, as type `dtype` in shards of `shard_size`.
    """

    source: Literal["kernel"]
    relative_to: RelativeTo
    sigma: Bandwidth | Literal["auto"]
    components: Count | None = None
    neighbors: Count | None = None
    dtype: Literal["float16", "int8"] = "float16"
    shard_size: BatchSize = 512


class TeacherParams(Section):
    """A stored classifier's margin gradients (`pag.targets.teacher`); which classifier is in the store's name."""

    source: Literal["teacher"]
    dtype: Literal["float16", "int8"] = "float16"
    shard_size: BatchSize


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


HeuristicParams = OneImageParams | ClassMeanParams | NearestNeighborParams | KernelParams
Target = HeuristicParams | ScoreBasedParams | TeacherParams | ImportedParams
TargetParams = Annotated[Target, Field(discriminator="source")]
TARGET: TypeAdapter[Target] = TypeAdapter(TargetParams)
