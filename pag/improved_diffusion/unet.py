"""The U-Net ε_θ(x_t, t, y) of Nichol & Dhariwal (2021, appendix A), after Ho et al. (2020), with which section 4.2 and G.2 of
"Do Perceptually Aligned Gradients Imply Robustness?" make score-based gradients.

    e = MLP(sinusoids of t) + embedding of y
    h = conv3(SiLU(norm(x)));   (scale, shift) = Linear(SiLU(e));   h = norm(h) (1 + scale) + shift
    residual block:  skip(x) + conv3(dropout(SiLU(h)))

Encoder and decoder run through the levels of `channel_mult`, each at half the resolution of the one before, joined by skip
connections at every block; self-attention follows the residual blocks of some levels. Names, order and shapes of the state dict
are those of the public code (improved-diffusion), so that its checkpoints load strictly.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from pag.base.errors import InputError

__all__ = ["UNet", "timestep_embedding"]

GROUPS = 32  # of every group norm

LayerT = TypeVar("LayerT", bound=nn.Module)


def timestep_embedding(timesteps: Tensor, channels: int) -> Tensor:
    """Sinusoids of the times: cosines, then sines, of frequencies falling geometrically from 1 towards 1/10000.

    Args:
        timesteps: `(B,)`, whole or fractional.
        channels: even.

    Returns:
        `(B, channels)` float32.
    """
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timesteps.device) / half
    angles = timesteps.to(torch.float32)[:, None] * torch.exp(-math.log(10000) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class GroupNorm32(nn.GroupNorm):
    """Group norm of 32 groups, computed in float32 where the network is in half precision."""

    def __init__(self, channels: int) -> None:
        super().__init__(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalises `(B, ch, …)`."""
        if x.dtype not in (torch.float16, torch.bfloat16):
            return super().forward(x)
        return functional.group_norm(x.float(), GROUPS, self.weight.float(), self.bias.float(), self.eps).to(x.dtype)


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around the embedding of time and class, added to their input (1×1 convolution where channels change).

    Args:
        in_channels, channels: multiples of 32.
        embedding_channels: width of the embedding.
        dropout: probability, before the last convolution.
        scale_shift_norm: whether the embedding scales and shifts the second norm's output, or is added before that norm.
    """

    def __init__(
        self, in_channels: int, channels: int, embedding_channels: int, dropout: float, scale_shift_norm: bool
    ) -> None:
        super().__init__()
        self.scale_shift_norm = scale_shift_norm
        self.in_layers = nn.Sequential(
            GroupNorm32(in_channels), nn.SiLU(), nn.Conv2d(in_channels, channels, 3, padding=1)
        )
        conditions = 2 * channels if scale_shift_norm else channels
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(embedding_channels, conditions))
        self.out_layers = nn.Sequential(
            GroupNorm32(channels), nn.SiLU(), nn.Dropout(dropout), _zeroed(nn.Conv2d(channels, channels, 3, padding=1))
        )
        self.skip_connection = nn.Identity() if in_channels == channels else nn.Conv2d(in_channels, channels, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps `(B, in_channels, H, W)` and `(B, embedding_channels)` to `(B, channels, H, W)`."""
        h = self.in_layers(x)
        condition = self.emb_layers(embedding)[:, :, None, None]
        if self.scale_shift_norm:
            norm, *rest = self.out_layers
            scale, shift = condition.chunk(2, dim=1)
            h = norm(h) * (1 + scale) + shift
            for layer in rest:
                h = layer(h)
        else:
            h = self.out_layers(h + condition)
        return self.skip_connection(x) + h  # type: ignore[no-any-return]


class SelfAttention(nn.Module):
    """Self-attention among all positions, added to its input.

    Args:
        channels: a multiple of 32.
        num_heads: a divisor of `channels`; each head's rows of `qkv` lie together, first its q, then its k, then its v.
    """

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = GroupNorm32(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = _zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(B, ch, H, W)` to the same shape."""
        flat = x.flatten(2)
        # Torch's fused kernels take only what lies together in memory along its channels.
        qkv = self.qkv(self.norm(flat)).unflatten(1, (self.num_heads, -1)).transpose(2, 3).contiguous()
        q, k, v = qkv.chunk(3, dim=3)  # each (B, heads, H·W, ch / heads)
        h = functional.scaled_dot_product_attention(q, k, v)
        return x + self.proj_out(h.transpose(2, 3).reshape(flat.shape)).reshape(x.shape)  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Halves the resolution by a convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(B, ch, H, W)` to `(B, ch, H/2, W/2)`."""
        return self.op(x)  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Doubles the resolution by repetition, then convolves."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Maps `(B, ch, H, W)` to `(B, ch, 2H, 2W)`."""
        return self.conv(functional.interpolate(x, scale_factor=2, mode="nearest"))  # type: ignore[no-any-return]


class Block(nn.ModuleList):
    """Layers in sequence, of which the residual blocks see the embedding too."""

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps `(B, ch, H, W)` and `(B, embedding_channels)` to `(B, ch', H', W')`."""
        for layer in self:
            x = layer(x, embedding) if isinstance(layer, ResidualBlock) else layer(x)
        return x


class UNet(nn.Module):
    """The noise in x_t, as predicted from x_t, the time and, if class-conditional, the label.

    Args:
        in_channels: channels of the image.
        base_channels: channels of the first level in units of `channel_mult`; a multiple of 32.
        out_channels: `in_channels`, or twice as many to give the reverse variance too.
        num_res_blocks: residual blocks of each level on the way down; one more on the way up.
        attention_downsamplings: at which downsampling factors (1, 2, 4, …) attention stands; it always stands in the middle block.
        dropout: probability, in every residual block.
        channel_mult: channels of each level, in `base_channels`.
        num_classes: number of labels; None for an unconditional network.
        num_heads: attention heads.
        scale_shift_norm: how the embedding enters the residual blocks.

    Raises:
        InputError: a value is impossible; the message names its key.
    """

    def __init__(
        self,
        in_channels: int,
        base_channels: int,
        out_channels: int,
        num_res_blocks: int,
        attention_downsamplings: Sequence[int],
        dropout: float,
        channel_mult: Sequence[int],
        num_classes: int | None,
        num_heads: int,
        scale_shift_norm: bool,
    ) -> None:
        super().__init__()
        _check(base_channels, num_res_blocks, attention_downsamplings, channel_mult, num_heads)
        embedding = 4 * base_channels
        self.base_channels = base_channels
        self.num_classes = num_classes
        self.granularity = 2 ** (len(channel_mult) - 1)
        self.time_embed = nn.Sequential(nn.Linear(base_channels, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        if num_classes is not None:
            self.label_emb = nn.Embedding(num_classes, embedding)
        layers = _Layers(embedding, dropout, scale_shift_norm, tuple(attention_downsamplings), num_heads)
        widths = [base_channels * multiple for multiple in channel_mult]
        self.input_blocks, skips = layers.encoder(in_channels, base_channels, widths, num_res_blocks)
        self.middle_block = layers.middle(widths[-1])
        self.output_blocks = layers.decoder(widths, num_res_blocks, skips)
        last = _zeroed(nn.Conv2d(widths[0], out_channels, 3, padding=1))
        self.out = nn.Sequential(GroupNorm32(widths[0]), nn.SiLU(), last)

    def forward(self, x: Tensor, timesteps: Tensor, labels: Tensor | None = None) -> Tensor:
        """Predicts the noise, and v in a second half of the channels if there are twice as many.

        Args:
            x: `(B, in_channels, H, W)`; H and W are multiples of 2^(levels − 1).
            timesteps: `(B,)`, whole or fractional, as `GaussianDiffusion.model_timesteps` gives them.
            labels: `(B,)` int64 in 0 … num_classes − 1, for class-conditional networks and only for them.

        Returns:
            `(B, out_channels, H, W)`.

        Raises:
            InputError: the image size does not divide, or labels are missing or not asked for.
        """
        height, width = x.shape[2:]
        if height % self.granularity or width % self.granularity:
            halvings = self.granularity.bit_length() - 1
            raise InputError(f"channel_mult: images of {height}×{width} cannot be halved {halvings} times.")
        embedding = self._embed(timesteps, labels)
        h, skips = x, []
        for block in self.input_blocks:
            h = block(h, embedding)
            skips.append(h)
        h = self.middle_block(h, embedding)
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), embedding)
        return self.out(h)  # type: ignore[no-any-return]

    def _embed(self, timesteps: Tensor, labels: Tensor | None) -> Tensor:
        if (labels is None) != (self.num_classes is None):
            raise InputError("num_classes: labels must be given to a class-conditional network, and only to one.")
        sinusoids = timestep_embedding(timesteps, self.base_channels)
        embedding: Tensor = self.time_embed(sinusoids.to(next(self.time_embed.parameters()).dtype))
        return embedding if labels is None else embedding + self.label_emb(labels)


@dataclass(frozen=True)
class _Layers:
    """What the blocks of one network have in common."""

    embedding_channels: int
    dropout: float
    scale_shift_norm: bool
    attention_downsamplings: tuple[int, ...]
    num_heads: int

    def residual(self, in_channels: int, channels: int) -> ResidualBlock:
        return ResidualBlock(in_channels, channels, self.embedding_channels, self.dropout, self.scale_shift_norm)

    def block(self, in_channels: int, channels: int, level: int) -> Block:
        """A residual block, with attention where the level has it."""
        block = Block([self.residual(in_channels, channels)])
        if 2**level in self.attention_downsamplings:
            block.append(SelfAttention(channels, self.num_heads))
        return block

    def encoder(
        self, in_channels: int, base_channels: int, widths: Sequence[int], num_res_blocks: int
    ) -> tuple[nn.ModuleList, list[int]]:
        """The way down, and the channels that each of its blocks gives."""
        blocks = [Block([nn.Conv2d(in_channels, base_channels, 3, padding=1)])]
        skips = [base_channels]
        for level, width in enumerate(widths):
            if level > 0:
                blocks.append(Block([Downsample(skips[-1])]))
                skips.append(skips[-1])
            for _ in range(num_res_blocks):
                blocks.append(self.block(skips[-1], width, level))
                skips.append(width)
        return nn.ModuleList(blocks), skips

    def middle(self, width: int) -> Block:
        """Attention between two residual blocks, at the lowest resolution."""
        return Block([self.residual(width, width), SelfAttention(width, self.num_heads), self.residual(width, width)])

    def decoder(self, widths: Sequence[int], num_res_blocks: int, skips: Sequence[int]) -> nn.ModuleList:
        """The way up: a block for each of the encoder's, which sees that one's output too."""
        blocks: list[Block] = []
        remaining, current = list(skips), widths[-1]
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(num_res_blocks + 1):
                blocks.append(self.block(current + remaining.pop(), width, level))
                current = width
            if level > 0:
                blocks[-1].append(Upsample(width))
        return nn.ModuleList(blocks)


def _zeroed(layer: LayerT) -> LayerT:
    """The layer with zero weights and biases, so that what it is added to passes through at first."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _check(
    base_channels: int,
    num_res_blocks: int,
    attention_downsamplings: Sequence[int],
    channel_mult: Sequence[int],
    num_heads: int,
) -> None:
    if base_channels < 1 or base_channels % GROUPS:
        raise InputError(f"base_channels must be a multiple of {GROUPS}, not {base_channels}.")
    if not channel_mult or min(channel_mult) < 1:
        raise InputError(f"channel_mult must be one or more positive numbers, not {list(channel_mult)}.")
    if num_res_blocks < 1:
        raise InputError(f"num_res_blocks must be at least 1, not {num_res_blocks}.")
    downsamplings = [2**level for level in range(len(channel_mult))]
    for downsampling in attention_downsamplings:
        if downsampling not in downsamplings:
            known = ", ".join(map(str, downsamplings))
            raise InputError(f"attention_downsamplings must be among {known} (channel_mult's), not {downsampling}.")
    attended = [channel_mult[downsamplings.index(downsampling)] for downsampling in attention_downsamplings]
    for channels in (base_channels * multiple for multiple in [*attended, channel_mult[-1]]):
        if num_heads < 1 or channels % num_heads:
            raise InputError(f"num_heads must divide the {channels} channels of attention, not {num_heads}.")
