"""Networks that look robust, or random, and are not: each hides its gradients, its logits or everything from attacks."""

import torch
from torch import nn

__all__ = ["MASKED"]


class _Masked(nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network


class Saturated(_Masked):
    """Probabilities, so sure that float32 has nothing between 0 and 1."""

    def forward(self, x):
        return (100 * self.network(x)).softmax(dim=1)


class OneHot(_Masked):
    """The decision alone."""

    def forward(self, x):
        logits = self.network(x)
        return nn.functional.one_hot(logits.argmax(dim=1), logits.shape[1]).to(x)


class Detached(_Masked):
    """Logits that autograd does not see to depend on the input."""

    def forward(self, x):
        return self.network(x.detach())


class Quantised(_Masked):
    """Pixels of two levels: a gradient that is zero everywhere."""

    def forward(self, x):
        return self.network(x.round())


class Staircase(_Masked):
    """Logits rounded to whole numbers."""

    def forward(self, x):
        return self.network(x).round()


class Reversed(_Masked):
    """A gradient that points away from where the loss grows: twice the input forwards, once backwards, with its sign turned."""

    def forward(self, x):
        return self.network(2 * x.detach() - x)


class Constant(_Masked):
    """Always the same class, whatever it sees."""

    def forward(self, x):
        logits = self.network(x)
        return 0 * logits + nn.functional.one_hot(torch.tensor(3), logits.shape[1])


class Random(_Masked):
    """Noise on the input, drawn anew in each forward pass."""

    def forward(self, x):
        return self.network(x + 0.3 * torch.randn_like(x))


MASKED = {
    "saturated": Saturated,
    "one_hot": OneHot,
    "detached": Detached,
    "quantised": Quantised,
    "staircase": Staircase,
    "reversed": Reversed,
    "constant": Constant,
    "random": Random,
}
