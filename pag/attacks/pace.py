"""How far attacks on a block are: the network's forward passes are counted against those that each attack makes at most.

The attacks' packages have nowhere to ask. A hook on the network that returns nothing alters no output.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

__all__ = ["Paced", "Told", "paced"]

Told = Callable[[float, str], None]
"""What is told how far a block is, in [0, 1], and which attack is under way, how far: `square 34%`."""


@dataclass(frozen=True)
class Paced:
    """An attack as a function, with how often it calls the network.

    Attributes:
        perturb: images and labels to perturbed images.
        passes: forward passes at most, positive.
    """

    perturb: Callable[[Tensor, Tensor], Tensor]
    passes: int

    def __call__(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.perturb(x, labels)


@contextmanager
def paced(model: nn.Module, parts: Mapping[str, object], name: str, told: Told | None) -> Iterator[None]:
    """Tells of one part of a block's attacks while it is run; an attack that ends early counts as whole from then on.

    Args:
        model: that is attacked.
        parts: all of the block's attacks in the order to run; unless each is `Paced`, nothing is told.
        name: of the part that is run within it.
        told: None: nobody listens, and nothing is counted.
    """
    passes = {of: part.passes for of, part in parts.items() if isinstance(part, Paced)}
    if told is None or len(passes) < len(parts):
        yield
        return
    names, own = list(parts), passes[name]
    before, total = sum(passes[of] for of in names[: names.index(name)]), sum(passes.values())
    count = 0

    def counted(*_: object) -> None:
        nonlocal count
        count = min(count + 1, own)
        told((before + count) / total, f"{name} {100 * count // own}%")

    hook = model.register_forward_hook(counted)
    try:
        yield
    finally:
        hook.remove()
