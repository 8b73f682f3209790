"""Labelled images drawn from the C + 1 model, by DDIM (Song et al. 2021) and classifier-free guidance (Ho and Salimans 2022):

    ε = (1 + w) ε_θ(x_t, t, y) − w ε_θ(x_t, t, ∅)                                                (Ho & Salimans 2022, eq. 6)

Training on a diffusion model's own samples is the largest known lever for robustness without other data (Gowal et al. 2021; Wang et
al. 2023). Each image has a random stream of its own, `(seed, number)`: the same image, whatever else is drawn with it.
"""

import torch
from torch import Tensor

from pag.base.randomness import numpy_stream
from pag.diffusion.model import DiffusionModel
from pag.improved_diffusion.gaussian_diffusion import NoiseModel

__all__ = ["generated_images", "guided"]


def guided(network: NoiseModel, null_label: int, weight: float) -> NoiseModel:
    """The network with its conditional prediction pushed away from the unconditional one; itself where the weight w is 0."""
    if weight == 0:
        return network

    def predict(x_t: Tensor, times: Tensor, labels: Tensor | None) -> Tensor:
        assert labels is not None
        both = network(
            x_t.repeat(2, 1, 1, 1), times.repeat(2), torch.cat([labels, torch.full_like(labels, null_label)])
        )
        conditional, unconditional = both.chunk(2)
        return (1 + weight) * conditional - weight * unconditional

    return predict


@torch.no_grad()
def generated_images(
    model: DiffusionModel, labels: Tensor, numbers: Tensor, *, steps: int, eta: float, guidance: float, seed: int
) -> Tensor:
    """Draws one image for each label.

    Args:
        model: the class-conditional model of C + 1 labels, in evaluation mode.
        labels: `(N,)` int64 in 0 … C − 1.
        numbers: `(N,)` int64 ≥ 0, which key the images' random streams.
        steps: of the T timesteps, as many are gone through, at least 2.
        eta: η of DDIM; with 0 an image is a function of its first noise alone.
        guidance: w ≥ 0; 0 samples p(x | y) as the model has it, more makes images more typical of their class and less diverse.
        seed: of the streams.

    Returns:
        `(N, ch, H, W)` float32 on the CPU, of the model's size, in [0, 1].
    """
    device, process = next(model.network.parameters()).device, model.process.respaced(steps)
    predict = guided(model.network, model.null_label, guidance)
    size = model.images_per_forward(1 if guidance == 0 else 2)
    parts = []
    for y, own in zip(labels.split(size), numbers.split(size), strict=True):
        noise = _Noise(own, model.config.image_shape, seed, device)
        x = process.ddim_sample(predict, noise(), y.to(device), eta=eta, noise=noise)
        parts.append((x.cpu() + 1) / 2)
    return torch.cat(parts)


class _Noise:
    """Standard normal noise for images, the next of each one's own stream at every call: `(B, ch, H, W)` float32."""

    def __init__(self, numbers: Tensor, shape: tuple[int, int, int], seed: int, device: torch.device) -> None:
        self._streams = [numpy_stream(seed, "generated", int(number)) for number in numbers]
        self._shape, self._device = shape, device

    def __call__(self) -> Tensor:
        draws = [torch.from_numpy(s.standard_normal(self._shape, dtype="float32")) for s in self._streams]
        return torch.stack(draws).to(self._device)
