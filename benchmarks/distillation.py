"""Distillation of score-based targets: as the stage does it, all C + 1 labels of an image side by side, against the same CIFAR-10
U-Net run plainly in float32, one label a batch.

    python benchmarks/distillation.py [--quick]
"""

import math

import torch
from torch import Tensor

from measuring import Bar, Row, command, same_round, spread, timed
from pag.diffusion.model import DiffusionConfig, DiffusionModel
from pag.targets.score_based import image_noise, score_based_gradients

BARS = {"cpu": None, "cuda": Bar(at_least=4.0)}
CIFAR = {
    "base_channels": 128, "channel_mult": [1, 2, 2, 2], "num_res_blocks": 3, "attention_downsamplings": [2, 4],
    "num_heads": 4, "dropout": 0.3, "scale_shift_norm": True,
}  # fmt: skip
TINY = CIFAR | {"base_channels": 32, "channel_mult": [1, 1], "num_res_blocks": 1, "attention_downsamplings": [2]}
SHAPE, CLASSES, TIMESTEPS, TIMESTEP = (3, 32, 32), 10, 4000, 2000
COSINE = 0.999  # to float32, of what reduced precision may do to the targets


def network(quick: bool, device: torch.device) -> DiffusionModel:
    """An untrained model; its last layer, zero before training, is filled, so that targets can be compared."""
    torch.manual_seed(0)
    model = DiffusionConfig(SHAPE, CLASSES, TINY if quick else CIFAR, "cosine", TIMESTEPS, True).build()
    for name, parameter in model.network.named_parameters():
        if not parameter.any() and name.endswith("weight"):
            torch.nn.init.normal_(parameter, std=0.02)
    model.network.to(device).eval()
    return model


def ours(model: DiffusionModel, pixels: Tensor) -> Tensor:
    """Targets by the pipeline's own code, `(N, C, ch, H, W)`."""
    rows = torch.arange(len(pixels))
    return score_based_gradients(model, pixels, rows, split="train", timestep=TIMESTEP, draws=1, seed=0)


@torch.no_grad()
def one_label_a_batch(model: DiffusionModel, pixels: Tensor) -> Tensor:
    """The same targets: one forward pass of all images for each of the C + 1 labels."""
    device = next(model.network.parameters()).device
    noise = torch.stack([image_noise(0, "train", row, 0, SHAPE) for row in range(len(pixels))]).to(device)
    t = torch.full((len(pixels),), TIMESTEP, device=device)
    x_t = model.process.q_sample(2 * pixels.to(device) - 1, t, noise)
    eps = [model.process.predict_noise(model.network, x_t, t, torch.full_like(t, c)) for c in range(CLASSES + 1)]
    sigma_t = math.sqrt(1 - float(model.process.alphas_cumprod[TIMESTEP]))
    return torch.stack([(eps[-1] - e) / sigma_t for e in eps[:-1]], dim=1).cpu()


def rows(quick: bool) -> list[Row]:
    """Two rows a kind of device: time, and the cosine of the targets."""
    return [row for kind in BARS for row in _rows(kind, quick)]


def _rows(kind: str, quick: bool) -> list[Row]:
    name, of_cosine = f"distillation: faster than one label a batch in float32 ({kind})", Bar(at_least=COSINE)
    if kind == "cuda" and not torch.cuda.is_available():
        return [Row(name, BARS[kind], skipped="There is no GPU.")]
    device = torch.device(kind)
    model, fast = network(quick, device), network(quick, device)
    if kind == "cuda":
        fast.network.compile(dynamic=False)
    pixels = torch.rand(4 if kind == "cpu" else 64, *SHAPE, generator=torch.Generator().manual_seed(0))
    sides = {"ours": lambda: ours(fast, pixels), "plain": lambda: one_label_a_batch(model, pixels)}
    seconds = timed(sides, 2 if quick else 3, f"distillation, {kind}", warm_up=1)
    cosines = torch.nn.functional.cosine_similarity(sides["ours"]().flatten(2), sides["plain"]().flatten(2), dim=2)
    medians = {side: spread(values)["median"] for side, values in seconds.items()}
    note = f"{len(pixels)} images; targets leave as numbers on the CPU."
    return [
        Row(name, BARS[kind], same_round(seconds["plain"], seconds["ours"]), note=note, seconds=medians),
        Row(f"distillation: cosine of the targets to float32 ({kind})", of_cosine, cosines.flatten().tolist(), unit=""),
    ]


if __name__ == "__main__":
    command(rows)
