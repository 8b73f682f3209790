"""Section `diffusion` of a data set: the model of C + 1 labels (section 4.2, appendix G.2)."""

from typing import Annotated, Literal

from pydantic import Field

from pag.base.vocabulary import Precision
from stages.params.optimizers import OptimizerParams
from stages.params.section import Count, Decay, Index, Section, Threads

__all__ = ["DiffusionParams", "SamplesParams"]


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
    train_at: Literal["all"] | Annotated[list[Index], Field(min_length=1)]
    learned_variance: bool
    steps: Count
    batch_size: Count
    optimizer: OptimizerParams
    ema_decay: Decay
    samples: SamplesParams
    threads: Threads
    precision: Precision = "float32"
