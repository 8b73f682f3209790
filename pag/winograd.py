"""3×3 convolutions on the CPU with a quarter of the products: Winograd's minimal filtering F(4 × 4, 3 × 3), for inference.

Winograd (1980), as Lavin and Gray (2016) apply it to networks: with weights w, `y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ d B)] A` gives the 4 × 4
outputs of a tile d of 6 × 6 inputs. Sums over input channels come before A, so that the products are those of 36 matrices. The
transforms are exact in rational numbers; in float32 the outputs differ from a plain convolution's by some 1e-6 of their size.
"""

from math import prod

import torch
from torch import Tensor, nn

__all__ = ["by_winograd"]

TILE, MARGIN = 4, 2  # outputs of a tile along an axis, and how many more inputs
POINTS = (TILE + MARGIN) ** 2
MIN_CHANNELS = 128  # of fewer, the transforms cost what the products save
TILES_AT_ONCE = 128  # some, so that what is between the steps stays in the processor's cache

_BT = [
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_G = [
    [1 / 4, 0, 0],
    [-1 / 6, -1 / 6, -1 / 6],
    [-1 / 6, 1 / 6, -1 / 6],
    [1 / 24, 1 / 12, 1 / 6],
    [1 / 24, -1 / 12, 1 / 6],
    [0, 0, 1],
]
_AT = [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]


def by_winograd(network: nn.Module) -> nn.Module:
    """Replaces a network's wide 3×3 convolutions of stride 1, in place; it is for inference on the CPU from then on.

    Its state is no longer the one that checkpoints have. The transformed weights take four times the memory of the weights.
    """
    scratch = _Scratch()
    for module in list(network.modules()):
        for name, layer in module.named_children():
            if isinstance(layer, nn.Conv2d) and _fits(layer):
                setattr(module, name, _Winograd(layer, scratch))
    return network


def _fits(layer: nn.Conv2d) -> bool:
    plain = layer.stride == (1, 1) and layer.padding == (1, 1) and layer.dilation == (1, 1) and layer.groups == 1
    zeros = layer.padding_mode == "zeros"
    wide = min(layer.in_channels, layer.out_channels) >= MIN_CHANNELS
    return layer.kernel_size == (3, 3) and plain and zeros and wide and layer.weight.device.type == "cpu"


class _Scratch:
    """Memory that all layers share, one after the other: fresh memory costs as much as computing with it."""

    def __init__(self) -> None:
        self._memory: dict[torch.dtype, Tensor] = {}

    def take(self, dtype: torch.dtype, *shapes: tuple[int, ...]) -> list[Tensor]:
        """Uninitialised tensors, until the next call."""
        sizes = [prod(shape) for shape in shapes]
        memory = self._memory.get(dtype)
        if memory is None or len(memory) < sum(sizes):
            memory = self._memory[dtype] = torch.empty(sum(sizes), dtype=dtype)
        return [part.view(shape) for part, shape in zip(memory[: sum(sizes)].split(sizes), shapes, strict=True)]


class _Winograd(nn.Module):
    """The convolution `layer`, of `(B, ch, H, W)` in any order in memory; gives channels last."""

    weight: Tensor  # (36, ch, ch'), transformed
    bias: Tensor | None
    of_input: Tensor  # Bᵀ ⊗ Bᵀ
    of_output: Tensor  # Aᵀ ⊗ Aᵀ

    def __init__(self, layer: nn.Conv2d, scratch: _Scratch) -> None:
        super().__init__()
        dtype = layer.weight.dtype
        b, g, a = (torch.tensor(matrix, dtype=torch.float64) for matrix in (_BT, _G, _AT))
        w = layer.weight.detach().double().permute(2, 3, 1, 0).flatten(0, 1)  # (9, ch, ch')
        weight = torch.tensordot(torch.kron(g, g), w, dims=1).to(dtype)
        self.register_buffer("weight", weight.contiguous(), persistent=False)
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach(), persistent=False)
        self.register_buffer("of_input", torch.kron(b, b).to(dtype), persistent=False)
        self.register_buffer("of_output", torch.kron(a, a).to(dtype), persistent=False)
        self._scratch = scratch

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        (batch, channels, height, width), outputs = x.shape, self.weight.shape[2]
        rows, columns = -(-height // TILE), -(-width // TILE)
        at_once = min(batch, max(1, TILES_AT_ONCE // (rows * columns)))
        count = at_once * rows * columns
        edge = TILE + MARGIN
        padded, tiles, transformed, products, results = self._scratch.take(
            x.dtype,
            (at_once, TILE * rows + MARGIN, TILE * columns + MARGIN, channels),
            (edge, edge, at_once, rows, columns, channels),
            (POINTS, count, channels),
            (POINTS, count, outputs),
            (TILE, TILE, at_once, rows, columns, outputs),
        )
        y = x.new_empty(batch, rows, TILE, columns, TILE, outputs)
        padded.zero_()
        image, row, column, _ = padded.stride()
        strides = (row, column, image, TILE * row, TILE * column, 1)
        overlapping = padded.as_strided(tiles.shape, strides)
        for part, out in zip(x.permute(0, 2, 3, 1).split(at_once), y.split(at_once), strict=True):
            padded[: len(part), 1 : height + 1, 1 : width + 1] = part
            tiles.copy_(overlapping)
            torch.mm(self.of_input, tiles.view(POINTS, -1), out=transformed.view(POINTS, -1))
            torch.bmm(transformed, self.weight, out=products)
            torch.mm(self.of_output, products.view(POINTS, -1), out=results.view(TILE * TILE, -1))
            ordered = results.permute(2, 3, 0, 4, 1, 5)[: len(part)]
            if self.bias is None:
                out.copy_(ordered)
            else:
                torch.add(ordered, self.bias, out=out)
        return y.view(batch, TILE * rows, TILE * columns, outputs)[:, :height, :width].permute(0, 3, 1, 2)
