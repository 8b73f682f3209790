"""Networks as objectives see them (`pag.training.objectives.Network`): by eager code, or with compiled passes."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pag.alignment.compiled import CompiledPasses
from pag.alignment.differentiable import differentiable_gradients, differentiable_margins
from pag.attacks.pgd import PGD
from pag.base.vocabulary import GradientOf
from pag.networks.modes import evaluating
from pag.optimization.parallel import Together

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

    def margin_gradients(
        self, x: Tensor, labels: Tensor, noise: Tensor, temperature: float, k: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients `(B, k, *)`, logits `(B, C)` and rivals `(B, k)` of `pag.alignment.differentiable`."""
        return differentiable_margins(self._passes, x, labels, noise, temperature, k)

    @torch.no_grad()
    def predicted(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` in evaluation mode, without a graph."""
        with evaluating(self.model):
            return self.model(x)  # type: ignore[no-any-return]

    def drawn(self, draw: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """What `draw` makes of the batch of all ranks, the rows of examples `x` `(b, *)`; it may look at shape, type and device."""
        return draw(x) if self._together is None else self._together.drawn(draw, x)

    def perturbed(self, attack: PGD, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Adversarial examples in evaluation mode, `(B, *)`; a random start is drawn for the batch of all ranks."""
        start = self.drawn(lambda like: attack.draw_start(like, generator), x) if attack.random_start else None
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

    def margin_gradients(
        self, x: Tensor, labels: Tensor, noise: Tensor, temperature: float, k: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients `(B, k, *)`, logits `(B, C)` and rivals `(B, k)` of `pag.alignment.differentiable`."""
        return self._compiled.margin_gradients(x, labels, noise, temperature, k)
