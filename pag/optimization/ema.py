"""The exponential moving average of a model's weights (Ho et al. 2020, appendix B)."""

import torch
from torch import nn

__all__ = ["Ema"]


class Ema:
    """Exponential moving average of a model's weights: `ema ← decay · ema + (1 − decay) · weights` after each step."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Takes in the model's weights after a step."""
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value, 1 - self.decay)
            else:
                self.weights[name].copy_(value)
