"""The U-Net of improved-diffusion (Nichol and Dhariwal, 2021): residual blocks told the time and the class, and attention.

Names, order and shapes of its state dict are those of the public checkpoints. It takes any number of channels and any image size
that its levels can halve: 8 × 8 × 1 included.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from pag.errors import InputError

__all__ = ["UNet"]

GROUPS = 32


class GroupNorm32(nn.GroupNorm):
    """Group norm of 32 groups, computed in float32 whatever the type of its input."""

    def __init__(self, channels: int) -> None:
        super().__init__(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        wide = x if x.dtype == torch.float64 else x.float()
        return super().forward(wide).to(x.dtype)


def _zeroed(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module


def timestep_embedding(timesteps: Tensor, dim: int) -> Tensor:
    """Sinusoids of `timesteps`, `(B,)`, with periods up to 10000: cosines, then sines, `(B, dim)` float32."""
    half = dim // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=timesteps.device) / half)
    angles = timesteps.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class ResBlock(nn.Module):
    """Norm-SiLU-conv, then the embedding, then norm-SiLU-dropout-conv, beside a skip connection.

    The embedding scales and shifts after the second norm (`scale_shift_norm`), or is added before it.
    """

    def __init__(self, channels: int, emb: int, out_channels: int, dropout: float, scale_shift_norm: bool) -> None:
        super().__init__()
        self.scale_shift_norm = scale_shift_norm
        self.in_layers = nn.Sequential(
            GroupNorm32(channels), nn.SiLU(), nn.Conv2d(channels, out_channels, 3, padding=1)
        )
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(emb, out_channels * (2 if scale_shift_norm else 1)))
        self.out_layers = nn.Sequential(
            GroupNorm32(out_channels), nn.SiLU(), nn.Dropout(dropout),
            _zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1)),
        )  # fmt: skip
        self.skip_connection = nn.Identity() if out_channels == channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.in_layers(x)
        told = self.emb_layers(emb).to(h.dtype)[:, :, None, None]
        if self.scale_shift_norm:
            scale, shift = told.chunk(2, dim=1)
            h = self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)
        else:
            h = self.out_layers(h + told)
        return self.skip_connection(x) + h  # type: ignore[no-any-return]


class AttentionBlock(nn.Module):
    """Self-attention over the pixels, in heads that are split before queries, keys and values."""

    def __init__(self, channels: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = GroupNorm32(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = _zeroed(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        batch, channels = x.shape[:2]
        flat = x.flatten(2)
        heads = self.qkv(self.norm(flat)).reshape(batch * self.num_heads, -1, flat.shape[2])
        q, k, v = heads.chunk(3, dim=1)
        scale = 1 / math.sqrt(math.sqrt(q.shape[1]))  # on both factors: safer in half precision
        weights = ((q * scale).transpose(1, 2) @ (k * scale)).float().softmax(dim=-1).to(v.dtype)
        h = (v @ weights.transpose(1, 2)).reshape(batch, channels, -1)
        return (flat + self.proj_out(h)).reshape(x.shape)  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Halves the resolution by a convolution of stride 2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)  # type: ignore[no-any-return]


class Upsample(nn.Module):
    """Doubles the resolution by repetition, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2, mode="nearest"))  # type: ignore[no-any-return]


class Block(nn.Sequential):
    """Layers in a row, of which the residual blocks are also told the embedding."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:  # type: ignore[override]
        for layer in self:
            x = layer(x, emb) if isinstance(layer, ResBlock) else layer(x)
        return x


class UNet(nn.Module):
    """ε_θ(x_t, t, label).

    Args:
        in_channels: ch.
        base_channels: width of the first level, a multiple of 32.
        out_channels: ch, or twice that with a learned variance.
        num_res_blocks: residual blocks of a level on the way down (one more on the way up).
        attention_downsamplings: factors of downsampling at which there is attention.
        dropout: in residual blocks.
        channel_mult: width of each level, in units of `base_channels`; every level but the last halves the resolution.
        num_classes: number of labels ("no class" counted in), or None for an unconditional network.
        num_heads: of the attention.
        scale_shift_norm: how the embedding enters the residual blocks.

    Raises:
        InputError: a width is no multiple of 32 or of the number of heads.
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
        if base_channels % GROUPS or base_channels % num_heads:
            raise InputError(f"base_channels must be a multiple of {GROUPS} and of num_heads, not {base_channels}.")
        self.base_channels, self.levels = base_channels, len(channel_mult)
        emb = 4 * base_channels
        self.time_embed = nn.Sequential(nn.Linear(base_channels, emb), nn.SiLU(), nn.Linear(emb, emb))
        if num_classes is not None:
            self.label_emb = nn.Embedding(num_classes, emb)
        self.conditional = num_classes is not None

        def stage(channels: int, out: int, factor: int) -> list[nn.Module]:
            layers: list[nn.Module] = [ResBlock(channels, emb, out, dropout, scale_shift_norm)]
            return [*layers, AttentionBlock(out, num_heads)] if factor in attention_downsamplings else layers

        widths = [base_channels * m for m in channel_mult]
        self.input_blocks = nn.ModuleList([Block(nn.Conv2d(in_channels, base_channels, 3, padding=1))])
        skips, channels = [base_channels], base_channels
        for level, width in enumerate(widths):
            for _ in range(num_res_blocks):
                self.input_blocks.append(Block(*stage(channels, width, 2**level)))
                skips.append(channels := width)
            if level < self.levels - 1:
                self.input_blocks.append(Block(Downsample(width)))
                skips.append(width)
        self.middle_block = Block(
            ResBlock(channels, emb, channels, dropout, scale_shift_norm), AttentionBlock(channels, num_heads),
            ResBlock(channels, emb, channels, dropout, scale_shift_norm),
        )  # fmt: skip
        self.output_blocks = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for i in range(num_res_blocks + 1):
                layers = stage(channels + skips.pop(), width, 2**level)
                channels = width
                self.output_blocks.append(Block(*layers, *([Upsample(width)] if level and i == num_res_blocks else [])))
        last = nn.Conv2d(base_channels, out_channels, 3, padding=1)
        self.out = nn.Sequential(GroupNorm32(channels), nn.SiLU(), _zeroed(last))

    def forward(self, x: Tensor, timesteps: Tensor, labels: Tensor | None = None) -> Tensor:
        """ε (and v) `(B, out_channels, H, W)` for x_t `(B, ch, H, W)`, times `(B,)` of the 1000-step scale, labels `(B,)`.

        Raises:
            InputError: labels are given to an unconditional network or missing for a conditional one, or the image's size
                cannot be halved at every level.
        """
        if self.conditional != (labels is not None):
            raise InputError("Labels belong to a class-conditional U-Net, and to no other.")
        if any(size % 2 ** (self.levels - 1) for size in x.shape[2:]):
            raise InputError(f"Image size {tuple(x.shape[2:])} cannot be halved {self.levels - 1} times.")
        emb = self.time_embed(timestep_embedding(timesteps, self.base_channels).to(x.dtype))
        if labels is not None:
            emb = emb + self.label_emb(labels)
        skips, h = [], x
        for block in self.input_blocks:
            h = block(h, emb)
            skips.append(h)
        h = self.middle_block(h, emb)
        for block in self.output_blocks:
            h = block(torch.cat([h, skips.pop()], dim=1), emb)
        return self.out(h)  # type: ignore[no-any-return]
