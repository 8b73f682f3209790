"""Residual networks for small images (He et al., 2016): 3×3 stem, stages of basic blocks, global average pooling, linear head.

`ResNet(channels=(16, 32, 64), blocks=(1, 1, 1), norm="none", activation="silu")` is `resnet8`, the digits network: without norm
layers the gradient that is aligned in training is the gradient that is attacked, and SiLU makes it a smooth function of the input.
`ResNet(channels=(64, 128, 256, 512), blocks=(2, 2, 2, 2), norm="batch", activation="relu")` is the paper's ResNet-18 (section 5.2).
"""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from pag.base.errors import InputError

__all__ = ["ResNet"]

GROUPS = 8
ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {"silu": nn.SiLU, "relu": nn.ReLU}
NORMS: Mapping[str, Callable[[int], nn.Module]] = {
    "none": lambda channels: nn.Identity(),
    "batch": nn.BatchNorm2d,
    "group": lambda channels: nn.GroupNorm(GROUPS, channels),
}


class BasicBlock(nn.Module):
    """`x ↦ act(F(x) + shortcut(x))` with two 3×3 convolutions; the shortcut is a 1×1 convolution where the shape changes."""

    def __init__(self, in_channels: int, channels: int, stride: int, norm: str, activation: str) -> None:
        super().__init__()
        bias = norm == "none"
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=bias)
        self.bn1 = NORMS[norm](channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=bias)
        self.bn2 = NORMS[norm](channels)
        self.activation = ACTIVATIONS[activation]()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=bias), NORMS[norm](channels))

    def forward(self, x: Tensor) -> Tensor:
        h = self.activation(self.bn1(self.conv1(x)))
        h = self.bn2(self.conv2(h))
        return self.activation(h + self.shortcut(x))  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """A residual network for normalised images; its state-dict names are those of the paper's public ResNet-18.

    Args:
        image_shape: `(ch, H, W)`; only `ch` matters.
        num_classes: C.
        channels: width of each stage; every stage but the first halves the resolution.
        blocks: number of basic blocks of each stage.
        norm: `"none"`, `"batch"` or `"group"` (8 groups).
        activation: `"silu"` or `"relu"`.

    Raises:
        InputError: the groups do not share out the channels.
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        num_classes: int,
        channels: Sequence[int],
        blocks: Sequence[int],
        norm: str,
        activation: str,
    ) -> None:
        super().__init__()
        if norm == "group" and any(width % GROUPS for width in channels):
            raise InputError(f"Channels of {list(channels)} cannot be shared out to {GROUPS} groups.")
        self.conv1 = nn.Conv2d(image_shape[0], channels[0], 3, padding=1, bias=norm == "none")
        self.bn1 = NORMS[norm](channels[0])
        self.activation = ACTIVATIONS[activation]()
        widths = [channels[0], *channels]
        self._stages = [f"layer{i}" for i in range(1, len(channels) + 1)]
        for i, (name, depth) in enumerate(zip(self._stages, blocks, strict=True)):
            shapes = [(widths[i], 1 if i == 0 else 2)] + [(channels[i], 1)] * (depth - 1)
            stage = nn.Sequential(*(BasicBlock(n, channels[i], s, norm, activation) for n, s in shapes))
            self.add_module(name, stage)
        self.linear = nn.Linear(channels[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` of normalised images `(B, ch, H, W)`."""
        h = self.activation(self.bn1(self.conv1(x)))
        for name in self._stages:
            h = self.get_submodule(name)(h)
        return self.linear(h.mean(dim=(2, 3)))  # type: ignore[no-any-return]
