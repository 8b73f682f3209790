"""Target gradients of images in memory as one tensor `(N, C, ch, H, W)`, for a training loop of one's own.

The pipeline keeps the same in stores (`pag.targets.kinds`), which need not fit into memory: here they take `4·N·C·ch·H·W` bytes.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from pag.base.errors import InputError
from pag.base.vocabulary import RelativeTo
from pag.diffusion.model import DiffusionModel
from pag.targets.bandwidth import likeliest_sigma
from pag.targets.kernel import posterior_means
from pag.targets.members import Members
from pag.targets.relative import RELATIVE, Wanted
from pag.targets.representatives import nearest_neighbor
from pag.targets.score_based import score_based_gradients
from pag.targets.spaces import LEVELS, pixel_space

__all__ = ["kernel_targets", "nearest_neighbor_targets", "score_based_targets"]


def nearest_neighbor_targets(
    images: Tensor,
    labels: Tensor,
    *,
    relative_to: Literal["image", "own_class"] = "own_class",
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
    levels, y, num_classes = _levels(images, labels), labels.cpu(), _num_classes(labels)
    channels_last = np.ascontiguousarray(levels.permute(0, 2, 3, 1).numpy())
    per_class = len(images) if pool_per_class is None else pool_per_class
    pool, nearest = nearest_neighbor(channels_last, y.numpy(), channels_last, num_classes, per_class, seed)
    r = torch.from_numpy(pool).permute(0, 3, 1, 2).float().div(LEVELS)[torch.from_numpy(nearest).long()]
    return _relative(r, images, y, num_classes, relative_to)


def kernel_targets(
    images: Tensor,
    labels: Tensor,
    *,
    sigma: float | None = None,
    relative_to: RelativeTo = "own_class",
    seed: int = 0,
) -> Tensor:
    """Kernel targets (`pag.targets.kernel`; not in the paper): eq. (8) with the score of the noised training set in closed form.

    r_c(x) is the mean of the other images of class c, weighted by `exp(−‖x − x_i‖² / 2σ²)`: the nearest neighbour as σ → 0, the
    class mean as σ → ∞. No network is trained.

    Args:
        images: the training set, `(N, ch, H, W)` in [0, 1]; taken with 8 bits a value.
        labels: `(N,)` int64, every one of 0 … C − 1.
        sigma: σ > 0 in pixels of [0, 1]; None: that of the largest leave-one-out likelihood.
        relative_to: `"own_class"`: `g(x, c) = r_c(x) − r_y(x)`, and for the own class y minus the mean of those; `"unconditional"`:
            `r_c(x) − r(x)`, r over all classes, as eq. (8) has it; `"image"`: `r_c(x) − x`.
        seed: draws whose likelihood is taken, where there are more than 2,048 images.

    Returns:
        g(x, c) in pixels, `(N, C, ch, H, W)` float32 on the CPU.

    Raises:
        InputError: images, labels or σ are not as above, or a class has no image that differs from another.
    """
    if sigma is not None and not 0 < sigma < float("inf"):
        raise InputError(f"The bandwidth sigma is a positive, finite number, not {sigma}.")
    levels, num_classes = _levels(images, labels), _num_classes(labels)
    members = Members(levels, labels.cpu(), num_classes, pixel_space(torch.device("cpu")))
    r = posterior_means(members, levels, likeliest_sigma(members, seed) if sigma is None else sigma)
    return _relative(r, images, labels.cpu(), num_classes, relative_to)


def score_based_targets(
    images: Tensor,
    labels: Tensor,
    model: DiffusionModel,
    *,
    timestep: int,
    draws: int = 1,
    relative_to: Literal["unconditional", "own_class"] = "unconditional",
    seed: int = 0,
    rows: Tensor | None = None,
) -> Tensor:
    """Score-based targets (section 4.2): `g(x, c) = ∇ log p(c | x_t)` of a diffusion model of C + 1 labels, by eq. (8).

    Args:
        images: `(N, ch, H, W)` in [0, 1]; resized for a model of another size, and the gradients back.
        labels: `(N,)` int64 in [0, C).
        model: what `train_diffusion` or `load_diffusion` gives, on any device.
        timestep: t in 0 … T − 1; medium values are both relevant to the image and meaningful.
        draws: how many draws of noise are averaged, at least 1.
        relative_to: `"unconditional"`: eq. (8); `"own_class"`: `∇ log p(x_t | c) − ∇ log p(x_t | y)`, and for the own class y minus
            the mean of those (not in the paper).
        seed: of the noise.
        rows: `(N,)` int64, the images' numbers, to which their noise belongs: so parts of a set have what the whole has; None:
            0 … N − 1.

    Returns:
        `(N, C, ch, H, W)` float32 on the CPU, in the score's scale for pixels in [-1, 1].

    Raises:
        InputError: an argument is not as above.
    """
    _check(images, labels)
    num_classes, channels = model.config.num_classes, model.config.image_shape[0]
    if not 0 <= timestep < model.config.timesteps or draws < 1:
        raise InputError(
            f"timestep is in 0 … {model.config.timesteps - 1} and draws at least 1, not {timestep} and {draws}."
        )
    if images.shape[1] != channels or _num_classes(labels) > num_classes:
        raise InputError(
            f"The diffusion model is of {num_classes} classes and {channels} channels, and the images are not."
        )
    numbers = torch.arange(len(images)) if rows is None else rows.cpu()
    x = images.cpu().float()
    g = score_based_gradients(model, x, numbers, split="train", timestep=timestep, draws=draws, seed=seed)
    return g if relative_to == "unconditional" else _relative(g, images, labels.cpu(), num_classes, relative_to)


def _relative(r: Tensor, images: Tensor, labels: Tensor, num_classes: int, relative_to: RelativeTo) -> Tensor:
    """`r` `(N, C, ch, H, W)`, or with that of no class `(N, C + 1, ch, H, W)`, as targets g(x, c) of all classes."""
    wanted = Wanted(torch.arange(num_classes).expand(len(r), -1), num_classes, images.cpu().float(), labels)
    return RELATIVE[relative_to](lambda places, of: r[places[:, None], of], wanted)


def _num_classes(labels: Tensor) -> int:
    return int(labels.max()) + 1


def _levels(images: Tensor, labels: Tensor) -> Tensor:
    """The images, once they are checked, as uint8 `(N, ch, H, W)` on the CPU."""
    _check(images, labels)
    return (images.cpu() * LEVELS).round().to(torch.uint8)


def _check(images: Tensor, labels: Tensor) -> None:
    if images.ndim != 4 or len(images) == 0 or not bool(((images >= 0) & (images <= 1)).all()):
        raise InputError(f"Targets need images (N, ch, H, W) in [0, 1]; these are {tuple(images.shape)}.")
    if labels.shape != images.shape[:1] or labels.dtype != torch.int64 or labels.min() < 0:
        raise InputError(f"{len(images)} images need as many labels, int64 from 0; these are {tuple(labels.shape)}.")
