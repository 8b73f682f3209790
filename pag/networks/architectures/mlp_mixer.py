"""MLP-Mixer for small images (Tolstikhin et al., 2021): appendix C, table 5."""

from torch import Tensor, nn
from torch.nn import functional

from pag.networks.architectures.patches import patch_count

__all__ = ["MLPMixer"]


class TokenMLP(nn.Module):
    """Mixes the tokens of each channel, `(B, N, D) → (B, N, D)`, with a residual connection."""

    def __init__(self, tokens: int, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(width)
        self.fc1 = nn.Conv1d(tokens, hidden, 1)
        self.fc2 = nn.Conv1d(hidden, tokens, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        h = self.dropout(functional.gelu(self.fc1(self.ln(x))))
        return x + self.dropout(self.fc2(h))  # type: ignore[no-any-return]


class ChannelMLP(nn.Module):
    """Mixes the channels of each token, `(B, N, D) → (B, N, D)`, with a residual connection."""

    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.ln = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        h = self.dropout(functional.gelu(self.fc1(self.ln(x))))
        return x + self.dropout(self.fc2(h))  # type: ignore[no-any-return]


class MixerLayer(nn.Module):
    """Tokens first, channels next."""

    def __init__(self, tokens: int, width: int, token_hidden: int, channel_hidden: int, dropout: float) -> None:
        super().__init__()
        self.mlp1 = TokenMLP(tokens, width, token_hidden, dropout)
        self.mlp2 = ChannelMLP(width, channel_hidden, dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.mlp2(self.mlp1(x))  # type: ignore[no-any-return]


class MLPMixer(nn.Module):
    """Mixer layers over square patches and a mean over them, for normalised images.

    Args:
        image_shape: `(ch, H, W)`, H and W multiples of `patch_size`.
        num_classes: C.
        patch_size: side of a patch in pixels.
        width: of a token.
        depth: mixer layers.
        token_hidden, channel_hidden: widths of the two MLPs of a layer.
        dropout: after each of their layers.

    Raises:
        InputError: the patches do not tile the images.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        patch_size: int,
        width: int,
        depth: int,
        token_hidden: int,
        channel_hidden: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        tokens = patch_count(image_shape, patch_size)
        self.patch_emb = nn.Sequential(nn.Conv2d(image_shape[0], width, patch_size, patch_size))
        layers = (MixerLayer(tokens, width, token_hidden, channel_hidden, dropout) for _ in range(depth))
        self.mixer_layers = nn.Sequential(*layers)
        self.ln = nn.LayerNorm(width)
        self.clf = nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` of normalised images `(B, ch, H, W)`."""
        tokens = self.patch_emb(x).flatten(2).transpose(1, 2)
        return self.clf(self.ln(self.mixer_layers(tokens)).mean(dim=1))  # type: ignore[no-any-return]
