"""Training of the class-conditional diffusion model of C + 1 labels (appendix G.2), at all timesteps or at few (appendix H)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pag.base.randomness import torch_stream
from pag.diffusion.model import DiffusionConfig, DiffusionModel
from pag.machine.memory_format import placed
from pag.optimization import optimizers
from pag.optimization.ema import Ema
from pag.optimization.loop import Curves, Run, fit
from pag.optimization.parallel import Together

__all__ = ["DiffusionRecipe", "denoising_loss", "train_diffusion"]

BATCH = 32
REPORTS = 40  # rows of the curves


@dataclass(frozen=True)
class DiffusionRecipe:
    """How a diffusion model is trained.

    Attributes:
        steps, batch_size, ema_decay: of the run.
        optimizer: `{"name": …, options}` of `pag.optimization.optimizers`.
        train_at: the timesteps to train at, drawn uniformly; None for all of 0 … T − 1. Training only at those that the targets
            use saves time (appendix H).
    """

    steps: int
    batch_size: int
    optimizer: Mapping[str, Any]
    ema_decay: float
    train_at: Sequence[int] | None = None


def train_diffusion(
    config: DiffusionConfig, pixels: Tensor, labels: Tensor, recipe: DiffusionRecipe, run: Run
) -> tuple[DiffusionModel, Curves]:
    """Trains a diffusion model, by all ranks together, and returns it with its averaged (EMA) weights, and the loss curve.

    It learns both scores of eq. (8): with probability 1/C an image's label is "no class". The curve is of the mean squared error of
    the predicted noise, about 1 where a model knows nothing; with a learned variance its term is added.

    Args:
        config: the model.
        pixels: training images `(N, ch, H, W)` in [0, 1], of the model's `image_shape`.
        labels: `(N,)` int64 in 0 … C − 1.
        recipe: how.
        run: seed (of the weights too), device, checkpoint.

    Raises:
        InputError: the checkpoint is of another run or damaged, or there is no room for another.
        FloatingPointError: the loss became NaN or infinite.
    """
    torch.manual_seed(run.seed)
    model = config.build()
    placed(model.network, run.device).train()
    x, y = (2 * pixels - 1).to(run.device), labels.to(run.device)
    times = torch.arange(config.timesteps) if recipe.train_at is None else torch.tensor(list(recipe.train_at))
    together, size = Together(model.network), recipe.batch_size

    def loss_of_step(step: int) -> Mapping[str, Tensor]:
        generator, own = torch_stream(run.seed, "diffusion", step), together.share(size).rows
        # Draws are for the whole batch, the rest for this rank's rows.
        index = torch.randint(len(x), (size,), generator=generator)[own].to(run.device)
        t = times[torch.randint(len(times), (size,), generator=generator)][own].to(run.device)
        dropped = (torch.rand(size, generator=generator) < 1 / config.num_classes)[own].to(run.device)
        noise = torch.randn((size, *x.shape[1:]), generator=generator)[own].to(run.device)
        label = torch.where(dropped, model.null_label, y[index])
        losses = model.process.training_losses(together.network, x[index], t, noise, label)
        return together.weighted({"loss": losses["loss"].mean()})

    optimization = optimizers.make(model.network.parameters(), recipe.steps, recipe.optimizer)
    ema, report_every = Ema(model.network, recipe.ema_decay), max(1, recipe.steps // REPORTS)
    curves = fit(model.network, loss_of_step, optimization, run, report_every=report_every, ema=ema)
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
