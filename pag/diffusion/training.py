"""Training of the class-conditional diffusion model of C + 1 labels (appendix G.2), at all timesteps or at few (appendix H)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pag.base.randomness import torch_stream
from pag.diffusion.model import DiffusionConfig, DiffusionModel
from pag.machine.memory_format import placed
from pag.optimization.loop import OPTIMIZERS, Ema, fit
from pag.optimization.parallel import Together

__all__ = ["denoising_loss", "train_diffusion"]

BATCH = 32


def train_diffusion(
    config: DiffusionConfig,
    pixels: Tensor,
    labels: Tensor,
    *,
    train_at: Sequence[int] | None,
    steps: int,
    batch_size: int,
    optimizer: Mapping[str, Any],
    ema_decay: float,
    seed: int,
    device: torch.device,
    checkpoint: Path | None = None,
) -> tuple[DiffusionModel, list[dict[str, float]]]:
    """Trains a diffusion model, by all ranks together, and returns it with its averaged (EMA) weights, and the loss curve.

    Args:
        config: the model.
        pixels: training images `(N, ch, H, W)` in [0, 1].
        labels: `(N,)` int64 in 0 … C − 1.
        train_at: the timesteps to train at, drawn uniformly; None for all of 0 … T − 1. Training only at those that the targets
            use saves time (appendix H).
        steps, batch_size, ema_decay: of the run.
        optimizer: `{"name": …, options}` of `pag.optimization.loop.OPTIMIZERS`.
        seed: of the weights and of every draw.
        device: where to train.
        checkpoint: file from which an interrupted run goes on.
    """
    torch.manual_seed(seed)
    model = config.build()
    placed(model.network, device).train()
    x = (2 * pixels - 1).to(device)
    y = labels.to(device)
    times = torch.arange(config.timesteps) if train_at is None else torch.tensor(list(train_at))
    together = Together(model.network)

    def loss_of_step(step: int) -> Mapping[str, Tensor]:
        generator, own = torch_stream(seed, "diffusion", step), together.share(batch_size).rows
        # Draws are for the whole batch, the rest for this rank's rows.
        index = torch.randint(len(x), (batch_size,), generator=generator)[own].to(device)
        t = times[torch.randint(len(times), (batch_size,), generator=generator)][own].to(device)
        dropped = (torch.rand(batch_size, generator=generator) < 1 / config.num_classes)[own].to(device)
        noise = torch.randn((batch_size, *x.shape[1:]), generator=generator)[own].to(device)
        label = torch.where(dropped, model.null_label, y[index])
        losses = model.process.training_losses(together.network, x[index], t, noise, label)
        return together.weighted({"loss": losses["loss"].mean()})

    options = {key: value for key, value in optimizer.items() if key != "name"}
    optimization = OPTIMIZERS[optimizer["name"]](model.network.parameters(), steps, **options)
    ema = Ema(model.network, ema_decay)
    curves = fit(
        model.network, loss_of_step, optimization, steps=steps, report_every=max(1, steps // 40), seed=seed,
        description="diffusion model", ema=ema, checkpoint=checkpoint,
    )  # fmt: skip
    model.network.load_state_dict(ema.weights)
    model.network.eval()
    return model, curves


@torch.no_grad()
def denoising_loss(model: DiffusionModel, pixels: Tensor, labels: Tensor, seed: int) -> float:
    """The mean squared error with which a model predicts the noise of images at random timesteps; about 1 if it knows nothing.

    Args:
        model: in evaluation mode.
        pixels: `(N, ch, H, W)` in [0, 1], of the model's size.
        labels: `(N,)` int64.
        seed: of the timesteps and the noise.
    """
    device = next(model.network.parameters()).device
    generator = torch_stream(seed, "denoising loss")
    t = torch.randint(model.config.timesteps, (len(pixels),), generator=generator)
    noise = torch.randn(pixels.shape, generator=generator)
    x_t = model.process.q_sample(2 * pixels - 1, t, noise)
    errors = []
    for part in torch.arange(len(pixels)).split(BATCH):
        eps = model.process.predict_noise(
            model.network, x_t[part].to(device), t[part].to(device), labels[part].to(device)
        )
        errors.append((eps.cpu() - noise[part]).square().flatten(1).mean(dim=1))
    return float(torch.cat(errors).mean())
