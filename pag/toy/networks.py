"""Two-layer perceptrons of the toy experiment (appendix G.1), several at once.

An ensemble holds E independent networks `widths[0] → widths[1] → widths[2]` with ReLU, evaluated as one batched product: ten
networks cost about what one costs, so that results come with their spread over seeds.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["MLPEnsemble"]


class MLPEnsemble(nn.Module):
    """E perceptrons side by side; member e sees the e-th of E equal parts of the batch.

    Args:
        widths: input, hidden and output width.
        generators: one a member, for its initial weights (uniform in ±1/√fan-in, as `torch.nn.Linear` draws them).
    """

    weight1: nn.Parameter
    bias1: nn.Parameter
    weight2: nn.Parameter
    bias2: nn.Parameter

    def __init__(self, widths: tuple[int, int, int], generators: list[torch.Generator]) -> None:
        super().__init__()
        self.members = len(generators)
        for layer, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
            draws = [_uniform((fan_in + 1, fan_out), fan_in, generator) for generator in generators]
            both = torch.stack(draws)
            self.register_parameter(f"weight{layer}", nn.Parameter(both[:, :-1].clone()))
            self.register_parameter(f"bias{layer}", nn.Parameter(both[:, -1:].clone()))

    def forward(self, x: Tensor) -> Tensor:
        """Logits `(E·B, C)` of points `(E·B, D)`, member by member."""
        x = x.unflatten(0, (self.members, -1))
        h = torch.relu(torch.baddbmm(self.bias1, x, self.weight1))
        return torch.baddbmm(self.bias2, h, self.weight2).flatten(0, 1)


def _uniform(shape: tuple[int, int], fan_in: int, generator: torch.Generator) -> Tensor:
    bound = 1 / math.sqrt(fan_in)
    return (2 * torch.rand(shape, generator=generator) - 1) * bound
