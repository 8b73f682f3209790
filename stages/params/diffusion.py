"""Section `diffusion` of a data set: the model of C + 1 labels (section 4.2, appendix G.2)."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pag.base.vocabulary import Precision
from stages.params.optimizers import OptimizerParams
from stages.params.section import BatchSize, Count, Decay, Index, Section, Side, Threads, Width

__all__ = ["DiffusionParams", "SamplesParams"]

Timesteps = Annotated[int, Field(ge=2, le=10**6)]


class UNetParams(Section):
    base_channels: Width
    channel_mult: tuple[Width, ...] = Field(strict=False, min_length=1)
    num_res_blocks: Width
    attention_downsamplings: tuple[Width, ...] = Field(strict=False)
    num_heads: Width
    dropout: Decay = 0.0


class SamplesParams(Section):
    per_class: Annotated[int, Field(gt=0, le=1000)]
    steps: Timesteps


class DiffusionParams(Section):
    image_size: Side | None = None
    network: UNetParams
    schedule: Literal["linear", "cosine"]
    timesteps: Timesteps
    train_at: Literal["all"] | Annotated[list[Index], Field(min_length=1)]
    learned_variance: bool
    steps: Count
    batch_size: BatchSize
    optimizer: OptimizerParams
    ema_decay: Decay
    samples: SamplesParams
    threads: Threads
    precision: Precision = "float32"

    @model_validator(mode="after")
    def _trained_timesteps_exist(self) -> Self:
        beyond = [t for t in self.train_at if t >= self.timesteps] if self.train_at != "all" else []
        if beyond:
            raise ValueError(f"train_at has {beyond[0]}, and timesteps are 0 … {self.timesteps - 1}")
        return self
