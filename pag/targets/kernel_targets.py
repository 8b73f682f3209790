"""Kernel targets of a whole training set, made by all ranks: as gradients, or as the nearest members with their weights.

Gradients take `2·N·C·D` bytes, whatever the kernel, and are read as those of any other source are; n neighbours take
`8·N·C·n` beside the images, which is less where n is below D/4, at the price of the weight that is cut.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pag.base.files import written_whole
from pag.base.vocabulary import RelativeTo
from pag.data.image_store import ImageStore, Split, pixels
from pag.machine.capacity import require_memory
from pag.machine.progress import progress
from pag.machine.ranks import deal, first, from_first, gather
from pag.targets.bandwidth import likeliest_sigma
from pag.targets.gradient_store import GradientType, shard_rows
from pag.targets.heuristic_store import write_neighbors
from pag.targets.kernel import QUERY_BLOCK, Neighborhood, posterior_means, weighted_neighbors
from pag.targets.members import Members
from pag.targets.relative import RELATIVE, Wanted
from pag.targets.spaces import pixel_space, principal_components
from pag.targets.store import Origin
from pag.targets.writing import Layout, write_gradients

__all__ = ["Kernel", "KernelTargets"]


@dataclass(frozen=True)
class Kernel:
    """Which kernel density.

    Attributes:
        sigma: σ in pixels of [0, 1]; None: that of the largest leave-one-out likelihood.
        components: how many principal components of the training images distances are taken in; None: in pixels.
    """

    sigma: float | None
    components: int | None


class KernelTargets:
    """Kernel targets at all training images, from those that are not for validation.

    Args:
        store: the images.
        kernel: which.
        relative_to: what targets are relative to.
        seed: of what `likeliest_sigma` and `principal_components` draw.
        device: where distances and means are computed, in float64 on any.

    Attributes:
        sigma: σ.

    Raises:
        InputError: a class has no image, or one alone.
    """

    def __init__(
        self, store: ImageStore, kernel: Kernel, relative_to: RelativeTo, seed: int, device: torch.device
    ) -> None:
        train = store.split("train")
        space, components = pixel_space(device), kernel.components
        if components is not None:
            space = from_first(lambda: principal_components(train.images, components, seed)).space(device)
        self._members = Members(train.images, train.labels, store.num_classes, space)
        chosen = kernel.sigma or from_first(lambda: likeliest_sigma(self._members, seed))
        self.sigma, self._kernel, self._relative_to = chosen, kernel, relative_to
        self._rows: Split = store.all_training()
        self._origin, self._num_classes = Origin(store.checksum, "train"), store.num_classes

    @property
    def attributes(self) -> dict[str, Any]:
        """What stores say of the kernel."""
        chosen = {"sigma_by": "leave-one-out likelihood"} if self._kernel.sigma is None else {}
        return {"sigma": self.sigma, "components": self._kernel.components, **chosen}

    def write_gradients(self, destination: Path, dtype: GradientType, shard_size: int, key: str, kept: Path) -> None:
        """A store of g(x, c) itself; see `pag.targets.writing`."""
        shape = (len(self._rows.rows), self._num_classes, *self._rows.images.shape[1:])
        attributes = {"relative_to": self._relative_to, **self.attributes}
        layout = Layout(shape, shard_size, key, dtype, origin=self._origin, attributes=attributes)
        write_gradients(destination, layout, self._gradients, kept)

    def _gradients(self, index: Tensor) -> Tensor:
        """g(x, c) of rows, `(B, C, ch, H, W)`."""
        images, labels = self._rows.images[index], self._rows.labels[index]
        r = posterior_means(self._members, images, self.sigma)
        classes = torch.arange(self._num_classes).expand(len(index), -1)
        wanted = Wanted(classes, self._num_classes, pixels(images), labels)
        return RELATIVE[self._relative_to](lambda places, of: r[places[:, None], of], wanted)

    def write_neighbors(self, destination: Path, count: int, key: str) -> Mapping[str, float]:
        """A store of the `count` nearest members of each class; gives the largest and the mean weight that is cut.

        Raises:
            InputError: a class has fewer, or there is not enough memory for them.
        """
        columns = self._num_classes + (self._relative_to == "unconditional")
        require_memory(4 * 8 * len(self._rows.rows) * columns * count, key=key)
        found = self._neighbors(destination.name, count)
        cut = found.cut[:, :columns]
        weight = {"max": float(cut.max()), "mean": float(cut.mean())}
        if first():
            with written_whole(destination) as partial:
                write_neighbors(
                    partial,
                    np.ascontiguousarray(self._members.images.numpy().transpose(0, 2, 3, 1)),
                    found.members[:, :columns].numpy(),
                    found.weights[:, :columns].numpy(),
                    self._relative_to,
                    self._rows.labels.numpy(),
                    self._origin,
                    {**self.attributes, "cut_weight": weight},
                )
        return weight

    def _neighbors(self, name: str, count: int) -> Neighborhood:
        """Of all rows; each rank finds those of its blocks."""
        blocks = deal(shard_rows(len(self._rows.rows), QUERY_BLOCK))
        mine: dict[int, Neighborhood] = {}
        with progress(name, sum(map(len, blocks))) as meter:
            for block in blocks:
                queries = self._rows.images[block.start : block.stop]
                mine[block.start] = weighted_neighbors(self._members, queries, self.sigma, count)
                meter.advance(len(block))
        every = {start: found for of_rank in gather(mine) for start, found in of_rank.items()}
        return Neighborhood.joined([every[start] for start in sorted(every)])
