"""Target gradients of images in memory as one tensor `(N, C, ch, H, W)`, for a training loop of one's own.

The pipeline keeps the same in stores (`pag.targets.kinds`), which need not fit into memory: here they take `4·N·C·ch·H·W` bytes.
"""

import numpy as np
import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.base.vocabulary import RelativeTo
from pag.diffusion.model import DiffusionModel
from pag.targets.representatives import nearest_neighbor
from pag.targets.score_based import score_based_gradients

__all__ = ["nearest_neighbor_targets", "score_based_targets"]

LEVELS = 255  # of a pixel of 1


def nearest_neighbor_targets(
    images: Tensor,
    labels: Tensor,
    *,
    relative_to: RelativeTo = "own_class",
    pool_per_class: int | None = None,
    seed: int = 0,
) -> Tensor:
    """Heuristic targets by nearest neighbours (section 4.1, eq. 6): r_c(x) is the image of class c that is nearest to x, but not x.

    Args:
        images: the training set, `(N, ch, H, W)` in [0, 1]; neighbours are found, and returned, with 8 bits a value.
        labels: `(N,)` int64, every one of 0 … C − 1.
        relative_to: `"image"`: `g(x, c) = r_c(x) − x`, the paper's; `"own_class"`: `r_c(x) − r_y(x)`, and for the own class y
            minus the mean of those (not in the paper), which a log-softmax can follow for all classes at once.
        pool_per_class: how many images of each class can be neighbours; None: all.
        seed: draws them, where there are more.

    Returns:
        g(x, c) in pixels, `(N, C, ch, H, W)` float32 on the CPU.

    Raises:
        InputError: images or labels are not as above, a class has no image, or none in its pool that differs from another image.
    """
    _check(images, labels)
    levels = np.ascontiguousarray((images.cpu() * LEVELS).round().byte().permute(0, 2, 3, 1).numpy())
    y = labels.cpu()
    num_classes = int(y.max()) + 1
    per_class = len(images) if pool_per_class is None else pool_per_class
    pool, nearest = nearest_neighbor(levels, y.numpy(), levels, num_classes, per_class, seed)
    r = torch.from_numpy(pool).permute(0, 3, 1, 2).float().div(LEVELS)[torch.from_numpy(nearest).long()]
    return r - images.cpu().float()[:, None] if relative_to == "image" else _relative_to_own_class(r, y)


def score_based_targets(
    images: Tensor,
    labels: Tensor | None,
    model: DiffusionModel,
    *,
    timestep: int,
    draws: int = 1,
    seed: int = 0,
    rows: Tensor | None = None,
) -> Tensor:
    """Score-based targets (section 4.2): `g(x, c) = ∇ log p(c | x_t)` of a diffusion model of C + 1 labels, by eq. (8).

    Args:
        images: `(N, ch, H, W)` in [0, 1]; resized for a model of another size, and the gradients back.
        labels: `(N,)` int64 in [0, C): targets are then relative to the own class, `∇ log p(x_t | c) − ∇ log p(x_t | y)` and for
            y minus the mean of those (not in the paper); None: those of eq. (8).
        model: what `train_diffusion` or `load_diffusion` gives, on any device.
        timestep: t in 0 … T − 1; medium values are both relevant to the image and meaningful.
        draws: how many draws of noise are averaged, at least 1.
        seed: of the noise.
        rows: `(N,)` int64, the images' numbers, to which their noise belongs: parts of a set have with theirs what the whole has;
            None: 0 … N − 1.

    Returns:
        `(N, C, ch, H, W)` float32 on the CPU, in the score's scale for pixels in [-1, 1].

    Raises:
        InputError: an argument is not as above.
    """
    _check(images, labels)
    timesteps, num_classes, channels = model.config.timesteps, model.config.num_classes, model.config.image_shape[0]
    if not 0 <= timestep < timesteps or draws < 1:
        raise InputError(f"timestep is in 0 … {timesteps - 1} and draws at least 1, not {timestep} and {draws}.")
    if images.shape[1] != channels or (labels is not None and int(labels.max()) >= num_classes):
        raise InputError(
            f"The diffusion model is of {num_classes} classes and {channels} channels, and the images are not."
        )
    numbers = torch.arange(len(images)) if rows is None else rows.cpu()
    g = score_based_gradients(
        model, images.cpu().float(), numbers, split="train", timestep=timestep, draws=draws, seed=seed
    )
    return g if labels is None else _relative_to_own_class(g, labels.cpu())


def _relative_to_own_class(r: Tensor, labels: Tensor) -> Tensor:
    """`r_c − r_y`, and for c = y minus the mean of the others; of `r` `(N, C, *)`, C ≥ 2."""
    row = torch.arange(len(r))
    g = r - r[row, labels][:, None]
    g[row, labels] = -g.sum(dim=1) / (r.shape[1] - 1)  # the own term is still zero in this sum
    return g


def _check(images: Tensor, labels: Tensor | None) -> None:
    if images.ndim != 4 or len(images) == 0 or not bool(((images >= 0) & (images <= 1)).all()):
        raise InputError(f"Targets need images (N, ch, H, W) in [0, 1]; these are {tuple(images.shape)}.")
    if labels is not None and (labels.shape != images.shape[:1] or labels.dtype != torch.int64 or labels.min() < 0):
        raise InputError(f"{len(images)} images need as many labels, int64 from 0; these are {tuple(labels.shape)}.")
