"""Score-based gradients (section 4.2): distilled from a diffusion model by Bayes' rule,

    g(x, y) = ∇ log p(y | x_t) = ∇ log p(x_t | y) − ∇ log p(x_t) = (ε_θ(x_t, t, ∅) − ε_θ(x_t, t, y)) / √(1 − ᾱ_t),      (8)

at one noise level t, for noise that belongs to the image: its stream is `(seed, split, row, draw)`, never the batch's. With many
classes an image may have gradients towards some of them only (`image_classes`): a step of training looks at a few anyway.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pag.base.randomness import numpy_stream
from pag.data.resizing import resize
from pag.diffusion.model import DiffusionModel

__all__ = ["image_classes", "image_noise", "score_based_gradients"]


def image_noise(seed: int, split: str, row: int, draw: int, shape: tuple[int, ...]) -> Tensor:
    """Standard normal noise of one image and draw, float32: the same whatever else is computed with it."""
    stream = numpy_stream(seed, f"score_based {split}", row, draw)
    return torch.from_numpy(stream.standard_normal(shape, dtype=np.float32))


def image_classes(seed: int, split: str, rows: Tensor, num_classes: int, count: int) -> Tensor:
    """m of the C classes for each image, uniformly without replacement, ascending: the same whatever else is drawn.

    So the mean of an image's m terms of eq. (4) is in expectation the mean of all C.

    Args:
        seed, split: of the streams.
        rows: `(N,)` numbers of the images in their split.
        num_classes: C.
        count: m ≤ C.

    Returns:
        `(N, m)` int64.
    """
    stream = f"score_based classes {split}"
    draws = [numpy_stream(seed, stream, int(row)).choice(num_classes, count, replace=False) for row in rows]
    return torch.from_numpy(np.sort(np.stack(draws), axis=1))


@torch.no_grad()
def score_based_gradients(
    model: DiffusionModel,
    pixels: Tensor,
    rows: Tensor,
    *,
    split: str,
    timestep: int,
    draws: int,
    seed: int,
    classes: Tensor | None = None,
) -> Tensor:
    """Target gradients towards every class, or towards each image's own choice of them.

    Where the model works at another size than the images have, they are resized to it, and the gradients back (appendix G.2).

    Args:
        model: the class-conditional model of C + 1 labels.
        pixels: images `(N, ch, H, W)` in [0, 1].
        rows: `(N,)` numbers of the images in their split, which key the noise.
        split: `"train"` or `"test"`, which keys it too.
        timestep: t in 0 … T − 1; medium values are both relevant to the image and meaningful (section 4.2).
        draws: number of noise draws that are averaged.
        seed: of the noise.
        classes: `(N, m)` int64, towards which; None: all C, in order.

    Returns:
        `(N, m, ch, H, W)` float32 on the CPU, in the score's scale for pixels in [-1, 1].
    """
    if classes is None:
        classes = torch.arange(model.null_label).expand(len(rows), -1)
    labels = functional.pad(classes, (0, 1), value=model.null_label)
    _, *own_size = model.config.image_shape
    images_per_forward = model.images_per_forward(labels.shape[1])
    _, *size = pixels.shape[1:]
    parts = []
    for x, r, y in zip(*(given.split(images_per_forward) for given in (pixels, rows, labels)), strict=True):
        x = resize(x, *own_size).clamp(0, 1)
        g = [_one_draw(model, x, r, y, split, timestep, draw, seed) for draw in range(draws)]
        parts.append(resize(torch.stack(g).mean(dim=0), *size))
    return torch.cat(parts)


def _one_draw(
    model: DiffusionModel, pixels: Tensor, rows: Tensor, labels: Tensor, split: str, timestep: int, draw: int, seed: int
) -> Tensor:
    """Gradients towards all `labels` `(B, m + 1)` but the last, which is ∅."""
    device = next(model.network.parameters()).device
    (batch, count), shape = labels.shape, tuple(pixels.shape[1:])
    noise = torch.stack([image_noise(seed, split, int(row), draw, shape) for row in rows]).to(device)
    t = torch.full((batch,), timestep, device=device)
    x_t = model.process.q_sample(2 * pixels.to(device) - 1, t, noise)
    eps = model.process.predict_noise(
        model.network,
        x_t.repeat_interleave(count, dim=0),
        t.repeat_interleave(count),
        labels.to(device).flatten(),
    ).reshape(batch, count, *shape)
    sigma_t = math.sqrt(1 - float(model.process.alphas_cumprod[timestep]))
    return ((eps[:, -1:] - eps[:, :-1]) / sigma_t).cpu()
