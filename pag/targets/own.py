"""Target gradients by a function of one's own, at the training images.

The function is called once with the training images, without the validation part, and gives what makes the targets:

    def toward_prototypes(images, labels, num_classes, seed, *, scale=1.0):
        ...
        return gradients  # of (x, y): images (B, ch, H, W) in [0, 1] and labels (B,), to g(x, c), (B, C, ch, H, W)

What it gives for an image must not depend on the others that it is given with: ranks and resumption share them out.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.data.image_store import Split, pixels
from pag.targets.gradient_store import GradientType
from pag.targets.store import Origin
from pag.targets.writing import Layout, write_gradients

__all__ = ["OwnTargets"]

Option = bool | int | float | str

LEVELS = 127  # of int8
SEVERAL = 3  # images that the function is tried on
ROUNDING = 1e-3  # of the largest value: float32 in batches of other sizes


class OwnTargets:
    """Targets of a function.

    Args:
        name: of the function, for messages.
        function: as above.
        options: its keyword arguments.
        train: what it learns from.
        num_classes: C.
        seed: for what it draws.

    Raises:
        InputError: the function cannot be called so, or gives nothing that can be called.
    """

    def __init__(
        self,
        name: str,
        function: Callable[..., object],
        options: Mapping[str, Option],
        train: Split,
        num_classes: int,
        seed: int,
    ) -> None:
        self._name, self._num_classes = name, num_classes
        made = self._called(lambda: function(pixels(train.images[:]), train.labels, num_classes, seed, **options))
        if not callable(made):
            raise InputError(f"{name} gives a {type(made).__name__}, not a function of images and labels.")
        self._gradients: Callable[[Tensor, Tensor], object] = made

    def write(
        self,
        destination: Path,
        queries: Split,
        origin: Origin,
        dtype: GradientType,
        shard_size: int,
        key: str,
        kept: Path,
    ) -> None:
        """A store of g(x, c) at the images of `queries`; see `pag.targets.writing`.

        Raises:
            InputError: as `at`, or what the function gives for an image depends on what it is given with, or is too small for
                the type.
        """
        first = pixels(queries.images[:SEVERAL]), queries.labels[:SEVERAL]
        self._require_alone(*first)
        if dtype == "float16":
            self._require_resolved(*first)
        shape = (len(queries.rows), self._num_classes, *queries.images.shape[1:])
        layout = Layout(shape, shard_size, key, dtype, origin=origin, attributes={"function": self._name})
        write_gradients(
            destination, layout, lambda rows: self.at(pixels(queries.images[rows]), queries.labels[rows]), kept
        )

    def at(self, x: Tensor, y: Tensor) -> Tensor:
        """g(x, c), `(B, C, ch, H, W)` float32.

        Raises:
            InputError: the function fails, or gives something else or what is not finite.
        """
        g = self._called(lambda: self._gradients(x.clone(), y.clone()))
        shape = (len(x), self._num_classes, *x.shape[1:])
        if not isinstance(g, Tensor) or g.shape != shape or not g.is_floating_point():
            told = f"{g.dtype} of shape {tuple(g.shape)}" if isinstance(g, Tensor) else f"a {type(g).__name__}"
            raise InputError(f"{self._name} gives {told}, not floating-point gradients of shape {shape}.")
        if g.layout is not torch.strided or g.is_meta:
            raise InputError(f"{self._name} gives {'meta' if g.is_meta else g.layout} gradients, not dense ones.")
        if not torch.isfinite(g).all():
            raise InputError(f"{self._name} gives gradients that are not finite.")
        return g.detach().float().cpu()

    def _require_alone(self, x: Tensor, y: Tensor) -> None:
        """Tries the function on a few images together and one by one."""
        together = self.at(x, y)
        alone = torch.cat([self.at(*pair) for pair in zip(x.split(1), y.split(1), strict=True)])
        if not torch.allclose(together, alone, rtol=0, atol=ROUNDING * float(together.abs().max())):
            raise InputError(
                f"{self._name} gives an image other gradients when it is asked for alone than with {len(x) - 1} others; they must "
                "depend neither on these nor on chance."
            )

    def _require_resolved(self, x: Tensor, y: Tensor) -> None:
        """Of gradients so small float16 has fewer levels than int8, or none but zero."""
        largest = float(self.at(x, y).abs().max())
        if 0 < largest < LEVELS * torch.finfo(torch.float16).smallest_normal / 2**10:
            raise InputError(
                f"{self._name} gives gradients of at most {largest:.2g}, too small for float16; scale them, or take dtype: int8."
            )

    def _called(self, call: Callable[[], object]) -> object:
        try:
            return call()
        except (Exception, SystemExit) as error:
            raise InputError(f"{self._name} fails ({type(error).__name__}: {error}).") from error
