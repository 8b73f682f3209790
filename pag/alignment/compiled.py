"""A classifier whose passes in training are compiled by torch: the forward pass, and that of alignment (section 3), in which
inputs are differentiated.

torch cannot differentiate twice what it has compiled. So the first derivative is taken within what is compiled, and one backward
pass is left for the outside. The compiler's frontend takes a pass as a single operation; its autograd then records what that
does, which is the eager code of `pag.alignment.differentiable`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from pag.alignment.differentiable import differentiable_gradients, differentiable_margins
from pag.base.errors import InputError
from pag.base.vocabulary import GradientOf
from pag.machine.ranks import size

__all__ = ["CompiledPasses"]

HOW: Mapping[str, Any] = {
    "fullgraph": True,
    # Else the second size of a batch would bring code for all sizes, and what the first one runs depend on what has come before.
    "dynamic": False,
    # No kernel is chosen by how fast it was just now; dropout draws as it does in eager code; and the order of channels stays that
    # of `pag.machine.memory_format`.
    "options": {"deterministic": True, "fallback_random": True, "layout_optimization": False},
}


class CompiledPasses:
    """A module's passes that a loss is computed with, compiled; weights, running statistics and modes are those of the module.

    Values and derivatives are the eager ones but for their last bits. A pass is compiled when a shape of its batch, or modes of the
    layers, first come: in a run for the whole batch and for the last one of an epoch, and with running statistics frozen for
    both anew.

    Args:
        module: a network on its device; it stays as it is.

    Raises:
        InputError: there are several ranks, whose exchange of gradients and statistics is not compiled.
    """

    def __init__(self, module: nn.Module) -> None:
        if size() > 1:
            raise InputError("training.compiled is for a single process, not for several ranks.")
        self._module = module
        # A function each, for there is a limit to how often one is compiled.
        self._forward = self._compiled(_forward)
        self._input_gradients = self._compiled(_input_gradients)
        self._margin_gradients = self._compiled(_margin_gradients)

    def __call__(self, x: Tensor) -> Tensor:
        """Logits `(B, C)` of inputs `(B, *)`; compiled with the weights' gradients, so not for attacks, which need none."""
        return self._forward(self._state(), self._modes(), x)  # type: ignore[no-any-return]

    def input_gradients(self, x: Tensor, classes: Tensor, of: GradientOf) -> tuple[Tensor, Tensor]:
        """Gradients `(B, k, *)` and logits `(B, C)` of `pag.alignment.differentiable`."""
        return self._input_gradients(self._state(), self._modes(), x, classes, of)  # type: ignore[no-any-return]

    def margin_gradients(
        self, x: Tensor, labels: Tensor, noise: Tensor, temperature: float, k: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients `(B, k, *)`, logits `(B, C)` and rivals `(B, k)` of `pag.alignment.differentiable`."""
        given = (x, labels, noise, temperature, k)
        return self._margin_gradients(self._state(), self._modes(), *given)  # type: ignore[no-any-return]

    def _state(self) -> dict[str, Tensor]:
        return {**dict(self._module.named_parameters()), **dict(self._module.named_buffers())}

    def _modes(self) -> tuple[bool, ...]:
        """What is recorded holds for these alone; as an argument they are compared each time."""
        return tuple(module.training for module in self._module.modules())

    def _compiled(self, computed: Callable[..., Any]) -> Callable[..., Any]:
        """`computed(network, state, *arguments)`, for the compiler a single operation on state, modes and arguments."""

        def operation(state: dict[str, Tensor], modes: tuple[bool, ...], *arguments: Any) -> Any:  # noqa: ANN401
            return computed(lambda x: functional_call(self._module, state, (x,)), state, *arguments)

        traced = torch.compiler.nonstrict_trace(operation)
        return torch.compile(lambda *given: traced(*given), **HOW)


def _forward(network: Callable[[Tensor], Tensor], state: dict[str, Tensor], x: Tensor) -> Tensor:
    return network(x)


def _input_gradients(
    network: Callable[[Tensor], Tensor], state: dict[str, Tensor], x: Tensor, classes: Tensor, of: GradientOf
) -> tuple[Tensor, Tensor]:
    return differentiable_gradients(network, x, classes, of, state.values())


def _margin_gradients(
    network: Callable[[Tensor], Tensor],
    state: dict[str, Tensor],
    x: Tensor,
    labels: Tensor,
    noise: Tensor,
    temperature: float,
    k: int,
) -> tuple[Tensor, Tensor, Tensor]:
    return differentiable_margins(network, x, labels, noise, temperature, k, state.values())
