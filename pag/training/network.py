"""Networks as objectives see them (`pag.training.objectives.Network`): by eager code, or with compiled passes."""

import torch
from torch import Tensor, nn

from pag.alignment.compiled import CompiledPasses
from pag.alignment.differentiable import differentiable_gradients
from pag.attacks.pgd import PGD
from pag.base.vocabulary import GradientOf
from pag.optimization.parallel import Together
from pag.training.modes import evaluating

__all__ = ["CompiledNetwork", "EagerNetwork"]


class EagerNetwork:
    """A classifier that one process trains, or all ranks together.

    Args:
        model: the classifier, in the modes that the caller sets.
        together: that of the ranks that share each batch; None: this process trains the model alone.
    """

    def __init__(self, model: nn.Module, together: Together | None = None) -> None:
        self.model = model
        self._together = together
        self._passes = model if together is None else together.network

    def __call__(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` of inputs `(B, *)`."""
        return self._passes(x)  # type: ignore[no-any-return]

    def input_gradients(self, x: Tensor, classes: Tensor, of: GradientOf) -> tuple[Tensor, Tensor]:
        """Gradients `(B, k, *)` and logits `(B, C)` of `pag.alignment.differentiable`."""
        return differentiable_gradients(self._passes, x, classes, of)

    def perturbed(self, attack: PGD, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Adversarial examples in evaluation mode, `(B, *)`; a random start is drawn for the batch of all ranks."""
        start = None
        if attack.random_start and self._together is not None:
            start = self._together.drawn(lambda like: attack.draw_start(like, generator), x)
        with evaluating(self.model):
            return attack(self.model, x, labels, generator, start)


class CompiledNetwork(EagerNetwork):
    """A classifier that one process trains, whose passes are compiled; attacks, which need no weights' gradients, are eager.

    Raises:
        InputError: there are several ranks.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self._compiled = CompiledPasses(model)

    def __call__(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` of inputs `(B, *)`."""
        return self._compiled(x)

    def input_gradients(self, x: Tensor, classes: Tensor, of: GradientOf) -> tuple[Tensor, Tensor]:
        """Gradients `(B, k, *)` and logits `(B, C)` of `pag.alignment.differentiable`."""
        return self._compiled.input_gradients(x, classes, of)
