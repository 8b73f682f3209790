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
    """Channels at full resolution."""
    channel_mult: tuple[Width, ...] = Field(strict=False, min_length=1)
    """What they are multiplied by at each resolution, each half of the one before."""
    num_res_blocks: Width
    """Residual blocks at each resolution."""
    attention_downsamplings: tuple[Width, ...] = Field(strict=False)
    """By which factors of resolution attention is used."""
    num_heads: Width
    """Of attention."""
    dropout: Decay = 0.0
    """In residual blocks."""


class SamplesParams(Section):
    per_class: Annotated[int, Field(gt=0, le=1000)]
    """Images that are drawn of each class, to be looked at."""
    steps: Timesteps
    """Of sampling."""


class DiffusionParams(Section):
    image_size: Side | None = None
    """Images are resized to this for the diffusion model, and its gradients back; null: their own."""
    network: UNetParams
    """The U-Net ε_θ."""
    schedule: Literal["linear", "cosine"]
    """How noise grows with t."""
    timesteps: Timesteps
    """T."""
    train_at: Literal["all"] | Annotated[list[Index], Field(min_length=1)]
    """`all` timesteps, or a list of those that targets use (appendix H)."""
    learned_variance: bool
    """Whether the network predicts variances as well, as published models do."""
    steps: Count
    """Of training."""
    batch_size: BatchSize
    """Images of a step."""
    optimizer: OptimizerParams
    """How weights follow their gradients."""
    ema_decay: Decay
    """Of the running mean of weights that is kept: the nearer to 1, the longer its memory, 1 / (1 − decay) steps."""
    samples: SamplesParams
    """Images that are drawn to be looked at."""
    threads: Threads
    """Of torch on the CPU; the last bits of weights depend on it."""
    precision: Precision = "float32"
    """Of the network: float32, or tf32 and bfloat16 on a GPU."""

    @model_validator(mode="after")
    def _trained_timesteps_exist(self) -> Self:
        beyond = [t for t in self.train_at if t >= self.timesteps] if self.train_at != "all" else []
        if beyond:
            raise ValueError(f"train_at has {beyond[0]}, and timesteps are 0 … {self.timesteps - 1}")
        return self
