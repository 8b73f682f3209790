"""Vision transformer for small images (Dosovitskiy et al., 2021), in the form of the paper (section 5.2): 6.3 M parameters.

It differs from the usual one in that attention is scaled by the whole width instead of a head's, and in a second GELU at the end of
each MLP. Attention is written out: the fused kernels have no double backward, and gradients of gradients are what is trained here.
"""

import math

import torch
from torch import Tensor, nn

from pag.base.errors import InputError
from pag.networks.architectures.patches import patch_count

__all__ = ["ViT"]


class SelfAttention(nn.Module):
    """Multi-head self-attention, `(B, N, D) → (B, N, D)`, with dropout of what it puts out."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.scale = 1 / math.sqrt(width)
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        weights = (self.scale * q @ k.transpose(2, 3)).softmax(dim=3)
        return self.dropout(self.o((weights @ v).transpose(1, 2).flatten(2)))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Attention and an MLP, each on normalised tokens and with a residual connection."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.la1 = nn.LayerNorm(width)
        self.msa = SelfAttention(width, heads, dropout)
        self.la2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout),
            nn.Linear(hidden, width), nn.GELU(), nn.Dropout(dropout),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.msa(self.la1(x))
        return x + self.mlp(self.la2(x))  # type: ignore[no-any-return]


class ViT(nn.Module):
    """A transformer over square patches and a class token, for normalised images.

    Args:
        image_shape: `(ch, H, W)`, H and W multiples of `patch_size`.
        num_classes: C.
        patch_size: side of a patch in pixels.
        width: of a token, a multiple of `heads`.
        depth: encoder layers.
        heads: of the attention.
        hidden: width of the MLPs.
        dropout: of the attention's output, and in the MLPs.

    Raises:
        InputError: the patches do not tile the images, or the heads do not share out the width.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        patch_size: int,
        width: int,
        depth: int,
        heads: int,
        hidden: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        tokens = patch_count(image_shape, patch_size)
        if width % heads:
            raise InputError(f"A width of {width} cannot be shared out to {heads} heads.")
        self.patch_size = patch_size
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.pos_emb = nn.Parameter(torch.randn(1, tokens + 1, width))
        self.emb = nn.Linear(image_shape[0] * patch_size**2, width)
        self.enc = nn.Sequential(*(EncoderLayer(width, heads, hidden, dropout) for _ in range(depth)))
        self.fc = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` of normalised images `(B, ch, H, W)`."""
        tokens = self.emb(self._patches(x))
        tokens = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), tokens], dim=1) + self.pos_emb
        return self.fc(self.enc(tokens)[:, 0])  # type: ignore[no-any-return]

    def _patches(self, x: Tensor) -> Tensor:
        """`(B, N, patch² · ch)`: the pixels of each patch, row by row, the channels innermost."""
        p = self.patch_size
        x = x.unflatten(2, (-1, p)).unflatten(4, (-1, p))  # B, ch, rows, p, columns, p
        return x.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
