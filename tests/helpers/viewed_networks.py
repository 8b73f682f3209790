"""Networks that take views of their activations, which need channels first."""

from torch import nn

__all__ = ["Merged", "Viewed"]


class Viewed(nn.Module):
    """Takes a view of all activations of an image, as most small networks do.

    Args:
        pixels: H·W of its coloured images.
        classes: C.
    """

    def __init__(self, pixels, classes):
        super().__init__()
        self.convolution, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * pixels, classes)

    def forward(self, x):
        return self.head(self.convolution(x).view(len(x), -1))


class Merged(Viewed):
    """Takes one that of a single image can be taken in either order: each channel as an image of its own."""

    def forward(self, x):
        return self.head(self.convolution(x).view(-1, 1, *x.shape[2:]).reshape(len(x), -1))
