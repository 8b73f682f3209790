"""Sections `diffusion` and `targets` of a data set: the model of C + 1 labels, and the sources of target gradients (section 4)."""

from typing import Annotated, Literal

from pydantic import Field

from stages.params.section import Count, Decay, OptimizerParams, Positive, Precision, Section

__all__ = [
    "ClassMeanParams", "DiffusionParams", "DistilledParams", "ImportedParams", "NearestNeighborParams", "OneImageParams",
    "SamplesParams", "ScoreBasedParams", "Target", "TargetParams",
]  # fmt: skip


class UNetParams(Section):
    base_channels: Count
    channel_mult: tuple[Count, ...] = Field(strict=False)
    num_res_blocks: Count
    attention_downsamplings: tuple[Count, ...] = Field(strict=False)
    num_heads: Count
    dropout: Decay = 0.0


class SamplesParams(Section):
    per_class: Count
    steps: Annotated[int, Field(ge=2)]


class DiffusionParams(Section):
    image_size: Count | None = None
    network: UNetParams
    schedule: Literal["linear", "cosine"]
    timesteps: Count
    train_at: Literal["all"] | Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    learned_variance: bool
    steps: Count
    batch_size: Count
    optimizer: OptimizerParams
    ema_decay: Decay
    samples: SamplesParams
    threads: Count
    precision: Precision = "float32"


class OneImageParams(Section):
    source: Literal["one_image"]
    relative_to: Literal["image", "own_class"]
    choice: Literal["first", "random", "medoid"]


class ClassMeanParams(Section):
    source: Literal["class_mean"]
    relative_to: Literal["image", "own_class"]
    scale: Positive


class NearestNeighborParams(Section):
    source: Literal["nearest_neighbor"]
    relative_to: Literal["image", "own_class"]
    pool_per_class: Count


class DistilledParams(Section):
    """Score-based gradients: at which t, of how many draws of noise, towards how many classes (None: all), kept as what type, and
    whether torch's compiler makes the network fast.
    """

    timestep: Annotated[int, Field(ge=0)]
    draws: Count
    classes_per_image: Count | None = None
    dtype: Literal["float16", "int8"] = "float16"
    compiled: bool = False


class ScoreBasedParams(DistilledParams):
    source: Literal["score_based"]
    shard_size: Count


class ImportedParams(Section):
    """A store that `pag import targets` wrote."""

    source: Literal["imported"]
    shard_size: Count


Target = OneImageParams | ClassMeanParams | NearestNeighborParams | ScoreBasedParams | ImportedParams
TargetParams = Annotated[Target, Field(discriminator="source")]
