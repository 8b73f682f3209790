"""The class-conditional diffusion model of C + 1 labels (section 4.2, appendix G.2): its configuration and its folder.

Label C means "no class": it takes the place of a training image's label with probability 1/C, so that one network holds the
conditional score ∇ log p(x_t | y) and the unconditional one ∇ log p(x_t). The network sees pixels scaled to [-1, 1].
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from pag.base.errors import InputError
from pag.base.json_files import read_json, write_json
from pag.improved_diffusion.gaussian_diffusion import GaussianDiffusion
from pag.improved_diffusion.unet import UNet
from pag.machine.memory_format import placed
from pag.networks.checkpoints import file_digest, load_checkpoint

__all__ = ["DiffusionConfig", "DiffusionModel", "load_diffusion", "save_diffusion"]

# Pixels, counted once for each label, that one forward pass of the network takes at most; a processor's cache holds few.
PIXELS_PER_FORWARD = {"cpu": 22 * 32**2, "cuda": 176 * 32**2}


@dataclass(frozen=True)
class DiffusionConfig:
    """All that rebuilds a diffusion model but its weights.

    Attributes:
        image_shape: `(ch, H, W)`.
        num_classes: C; the network has C + 1 labels.
        network: options of `UNet` beyond channels and labels.
        schedule: `"linear"` or `"cosine"`.
        timesteps: T.
        learned_variance: whether the network also predicts the reverse variance (twice the output channels).
    """

    image_shape: tuple[int, int, int]
    num_classes: int
    network: Mapping[str, Any]
    schedule: str
    timesteps: int
    learned_variance: bool

    def check_matches(self, folder: Path, num_classes: int, channels: int, timestep: int) -> None:
        """Raises InputError where the model in `folder` is not of such images, or has no such timestep."""
        here, wanted = (self.num_classes, self.image_shape[0]), (num_classes, channels)
        if here != wanted:
            raise InputError(f"{folder} has a diffusion model of (C, ch) = {here}, and the images have {wanted}.")
        if not 0 <= timestep < self.timesteps:
            raise InputError(
                f"{folder} has a diffusion model of T = {self.timesteps}, and timestep {timestep} is asked for."
            )

    def build(self) -> "DiffusionModel":
        """An untrained model; its weights come from torch's global generator."""
        channels = self.image_shape[0]
        network = UNet(
            in_channels=channels,
            out_channels=channels * (2 if self.learned_variance else 1),
            num_classes=self.num_classes + 1,
            **self.network,
        )
        process = GaussianDiffusion.create(self.schedule, self.timesteps, learned_variance=self.learned_variance)
        return DiffusionModel(self, network, process)


@dataclass(frozen=True)
class DiffusionModel:
    """A network ε_θ(x_t, t, label) with the process that it reverses."""

    config: DiffusionConfig
    network: UNet
    process: GaussianDiffusion

    @property
    def null_label(self) -> int:
        """The label that means "no class": C."""
        return self.config.num_classes

    def images_per_forward(self, labels: int) -> int:
        """How many images one forward pass takes at most, each with so many labels: the fastest, and always the same."""
        kind = next(self.network.parameters()).device.type
        return max(1, PIXELS_PER_FORWARD[kind] // (labels * math.prod(self.config.image_shape[1:])))

    def sample(self, labels: Tensor, steps: int, generator: torch.Generator) -> Tensor:
        """Samples in [-1, 1], one for each of `labels`, `(B,)`, by `steps` of the T timesteps: `(B, ch, H, W)`."""
        process = self.process.respaced(min(steps, self.process.timesteps))
        x_T = torch.randn((len(labels), *self.config.image_shape), generator=generator).to(labels.device)
        return process.sample(self.network, x_T, labels, generator)


def save_diffusion(folder: Path, model: DiffusionModel) -> None:
    """Writes `model.safetensors` and `config.json` into an existing folder."""
    weights = folder / "model.safetensors"
    save_file({name: value.contiguous().cpu() for name, value in model.network.state_dict().items()}, weights)
    write_json(folder / "config.json", {**asdict(model.config), "weights_sha256": file_digest(weights)})


def load_diffusion(folder: Path, device: torch.device) -> DiffusionModel:
    """Reads what `save_diffusion` wrote, in evaluation mode.

    Raises:
        InputError: a file is missing, damaged, or of another architecture.
    """
    raw, weights = read_json(folder / "config.json"), folder / "model.safetensors"
    digest = raw.pop("weights_sha256", None)
    try:
        model = DiffusionConfig(**{**raw, "image_shape": tuple(raw["image_shape"])}).build()
    except Exception as error:  # of sizes that no layer can have torch raises what it likes
        what = str(error).partition("\n")[0].rstrip(".")
        raise InputError(f"{folder / 'config.json'} does not describe a diffusion model ({what}).") from None
    load_checkpoint(weights, model.network, digest)
    placed(model.network, device).eval()
    return model
