"""Wide residual networks (Zagoruyko and Komodakis, 2016) in the form that TRADES trains: WRN-34-10, section 6 and table 4."""

import math

from torch import Tensor, nn
from torch.nn import functional

from pag.base.errors import InputError

__all__ = ["WideResNet"]


class WideBlock(nn.Module):
    """Norm and activation before each of two 3×3 convolutions; where the width changes, the shortcut starts after the first."""

    def __init__(self, in_channels: int, channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)
        # Written so in the public checkpoints.
        self.convShortcut = None if in_channels == channels else nn.Conv2d(in_channels, channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = functional.relu(self.bn1(x))
        h = self.dropout(functional.relu(self.bn2(self.conv1(active))))
        shortcut = x if self.convShortcut is None else self.convShortcut(active)
        return shortcut + self.conv2(h)  # type: ignore[no-any-return]


class Stage(nn.Module):
    """Blocks of one width; the first has the stride."""

    def __init__(self, in_channels: int, channels: int, blocks: int, stride: int, dropout: float) -> None:
        super().__init__()
        shapes = [(in_channels, stride)] + [(channels, 1)] * (blocks - 1)
        self.layer = nn.Sequential(*(WideBlock(n, channels, s, dropout) for n, s in shapes))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)  # type: ignore[no-any-return]


class WideResNet(nn.Module):
    """A wide residual network for normalised images.

    Args:
        image_shape: `(ch, H, W)`; only `ch` matters.
        num_classes: C.
        depth: 6 n + 4 layers, n blocks in each of three stages.
        width: factor k of the widths 16 k, 32 k, 64 k.
        dropout: between the convolutions of a block.
        duplicate_block: whether to hold a second first stage that is never used nor trained, as TRADES' checkpoints do.

    Raises:
        InputError: the depth is not 6 n + 4.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        depth: int,
        width: int,
        dropout: float = 0.0,
        duplicate_block: bool = False,
    ) -> None:
        super().__init__()
        blocks, rest = divmod(depth - 4, 6)
        if rest or blocks < 1:
            raise InputError(f"A wide residual network has 6 n + 4 layers (10, 16, 22, …), not {depth}.")
        widths = [16, 16 * width, 32 * width, 64 * width]
        self.conv1 = nn.Conv2d(image_shape[0], widths[0], 3, padding=1, bias=False)
        self.block1 = Stage(widths[0], widths[1], blocks, 1, dropout)
        if duplicate_block:
            # Distributed training waits for the gradient of every parameter that asks for one.
            self.sub_block1 = Stage(widths[0], widths[1], blocks, 1, dropout).requires_grad_(False)
        self.block2 = Stage(widths[1], widths[2], blocks, 2, dropout)
        self.block3 = Stage(widths[2], widths[3], blocks, 2, dropout)
        self.bn1 = nn.BatchNorm2d(widths[3])
        self.fc = nn.Linear(widths[3], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=math.sqrt(2 / (module.kernel_size[0] ** 2 * module.out_channels)))
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` of normalised images `(B, ch, H, W)`."""
        h = self.block3(self.block2(self.block1(self.conv1(x))))
        return self.fc(functional.relu(self.bn1(h)).mean(dim=(2, 3)))  # type: ignore[no-any-return]
