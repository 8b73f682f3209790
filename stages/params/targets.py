"""Sections of `targets` of a data set: the sources of target gradients (section 4)."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from pag.base.vocabulary import RelativeTo
from pag.networks.families import OWN_FAMILY
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
    "OwnTargetParams",
    "ScoreBasedParams",
    "Target",
    "TargetParams",
    "TeacherParams",
    "teacher_targets",
]

RepresentativesRelativeTo = Literal["image", "own_class"]
Bandwidth = Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]


class OneImageParams(Section):
    source: Literal["one_image"]
    """`one_image`: r_c is one training image of class c (section 4.1)."""
    relative_to: RepresentativesRelativeTo
    """`image`: g = r_c − x, the paper's; `own_class`: g = r_c − r_y, ours."""
    choice: Literal["first", "random", "medoid"]
    """Which image: the `first` of the class, a `random` one, or the `medoid`, which is nearest to all others."""


class ClassMeanParams(Section):
    source: Literal["class_mean"]
    """`class_mean`: r_c is the mean of class c (section 4.1)."""
    relative_to: RepresentativesRelativeTo
    """`image`: g = r_c − x, the paper's; `own_class`: g = r_c − r_y, ours."""
    scale: Positive
    """What the mean is multiplied by, for the norm of an image (section 4.1)."""


class NearestNeighborParams(Section):
    source: Literal["nearest_neighbor"]
    """`nearest_neighbor`: r_c(x) is the image of class c nearest to x in pixels (eq. 6)."""
    relative_to: RepresentativesRelativeTo
    """`image`: g = r_c − x, the paper's; `own_class`: g = r_c − r_y, ours."""
    pool_per_class: Count
    """Images of each class among which the nearest is sought, the paper's limited set."""


class KernelParams(Section):
    """Kernel densities (`pag.targets.kernel`)."""

    source: Literal["kernel"]
    """`kernel`: r_c(x) is the mean of a class's images, each weighted by a Gaussian of its distance; not in the paper.
    """
    relative_to: RelativeTo
    """`own_class`: g = r_c − r_y; `image`: r_c − x; `unconditional`: r_c − r of all classes, the form of eq. (8)."""
    sigma: Bandwidth | Literal["auto"]
    """Standard deviation of the Gaussian, in pixels; `auto`: of the largest leave-one-out likelihood."""
    components: Count | None = None
    """Distances are taken in so many principal components of the training set; null: in pixels."""
    neighbors: Count | None = None
    """So many images of each class are kept, with their weights; null: gradients are kept."""
    dtype: Literal["float16", "int8"] = "float16"
    """Of the gradients that are kept."""
    shard_size: BatchSize = 512
    """Images of a shard of the store."""


class TeacherParams(Section):
    """A stored classifier's margin gradients (`pag.targets.teacher`); which classifier is in the store's name."""

    source: Literal["teacher"]
    """`teacher`: margin gradients of a classifier that this pipeline trained."""
    dtype: Literal["float16", "int8"] = "float16"
    """Of the gradients that are kept."""
    shard_size: BatchSize
    """Images of a shard of the store, which are computed together."""


class DistilledParams(Section):
    """Score-based gradients (eq. 8)."""

    timestep: Index
    """t of eq. (8): how much noise the image is under; the paper says an intermediate one (section 4.2)."""
    draws: Count
    """Of noise, over which the gradients of an image are averaged."""
    classes_per_image: Count | None = None
    """Towards how many of the C classes an image has gradients, drawn once for each; null: all."""
    dtype: Literal["float16", "int8"] = "float16"
    """Of the gradients that are kept: float16, or int8 with a scale for each, half the bytes."""
    compiled: bool = False
    """Whether torch compiles the network, which takes a minute or two."""


class ScoreBasedParams(DistilledParams):
    source: Literal["score_based"]
    """`score_based`: distilled from the diffusion model (section 4.2, eq. 8)."""
    shard_size: BatchSize
    """Images of a shard of the store, which are computed together and are what an interruption loses."""


class OwnTargetParams(Section):
    """Targets that a function of one's own makes (`pag.targets.own`)."""

    source: Literal["own"]
    """`own`: a function of one's own."""
    function: Annotated[str, Field(pattern=f"^{OWN_FAMILY}$")]
    """Where it is: `extensions.targets.prototypes:toward_prototypes`."""
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """What it is called with, by name."""
    dtype: Literal["float16", "int8"] = "float16"
    """What gradients are kept as."""
    shard_size: BatchSize = 512
    """Images whose gradients are made, and kept in a file, together."""


class ImportedParams(Section):
    """A store that `pag import targets` wrote."""

    source: Literal["imported"]
    """`imported`: what `pag import targets` wrote."""
    shard_size: BatchSize
    """Images of a shard of the store."""


HeuristicParams = OneImageParams | ClassMeanParams | NearestNeighborParams | KernelParams
Target = HeuristicParams | ScoreBasedParams | TeacherParams | OwnTargetParams | ImportedParams
TargetParams = Annotated[Target, Field(discriminator="source")]
TARGET: TypeAdapter[Target] = TypeAdapter(TargetParams)


def teacher_targets(method: str) -> str:
    """The target store of the classifier that a method trained, as the teacher."""
    return f"teacher_{method}"
