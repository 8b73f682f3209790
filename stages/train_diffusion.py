"""`train_diffusion`: the class-conditional diffusion model of C + 1 labels (section 4.2, appendix G.2)."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torchvision.utils import save_image

from pag.base.files import written_whole
from pag.base.json_files import write_json
from pag.base.randomness import torch_stream
from pag.data.image_store import ImageStore, pixels
from pag.data.resizing import resize
from pag.diffusion.model import DiffusionConfig, DiffusionModel, save_diffusion
from pag.diffusion.training import DiffusionRecipe, train_diffusion
from pag.machine.capacity import require_memory
from pag.machine.ranks import first, from_first, local_size
from pag.optimization.curves import write_curves
from pag.optimization.loop import Run
from stages.params.diffusion import DiffusionParams, SamplesParams
from stages.params.reading import Params
from stages.paths import DatasetPaths
from stages.run import device, stage_run

__all__ = ["diffusion_config", "run", "write_diffusion"]

COPIES = 3  # of the images in memory at once, at least: as they are read, of the model's size, and about zero


def run(params: Params, dataset: str, seed: int) -> Path:
    """Writes `data/<dataset>/diffusion/<seed>/`: EMA weights, configuration, loss curve, samples."""
    paths, diffusion = DatasetPaths(dataset), params.dataset(dataset).read("diffusion", DiffusionParams)
    destination, values, threads = paths.diffusion(seed), [seed, diffusion], diffusion.threads
    with stage_run(
        "train_diffusion",
        f"{dataset}-{seed}",
        outputs=[destination],
        values=values,
        inputs=[paths.images],
        threads=threads,
        precision=diffusion.precision,
    ) as checkpoints:
        store = ImageStore.open(paths.images)
        train, config = store.split("train"), diffusion_config(store, diffusion)
        _, height, width = config.image_shape
        recipe = DiffusionRecipe(
            diffusion.steps, diffusion.batch_size, diffusion.optimizer.model_dump(), diffusion.ema_decay,
            None if diffusion.train_at == "all" else diffusion.train_at,
        )  # fmt: skip
        training_run = Run(seed, "diffusion model", device(), checkpoints / "state.pt")
        from_first(lambda: _require_room(len(train.labels), config, recipe))
        x = resize(pixels(train.images), height, width).clamp(0, 1)
        model, curves = train_diffusion(config, x, train.labels, recipe, training_run)
        if first():
            write_diffusion(destination, model, curves, diffusion.samples, seed)
    return destination


def write_diffusion(
    destination: Path,
    model: DiffusionModel,
    curves: Sequence[Mapping[str, float]],
    samples: SamplesParams,
    seed: int,
) -> None:
    """Writes the folder of a diffusion model: weights, configuration, curves, samples."""
    with written_whole(destination) as folder:
        folder.mkdir()
        save_diffusion(folder, model)
        write_curves(folder / "curves.csv", ["step", "loss"], curves)
        write_json(folder / "metrics.json", {"loss": curves[-1]["loss"]})
        save_image(_samples(model, samples, seed), folder / "samples.png", nrow=samples.per_class)


def _require_room(images: int, config: DiffusionConfig, recipe: DiffusionRecipe) -> None:
    """For the images and a batch in float32, in main memory, where images are prepared and noise is drawn."""
    needed = COPIES * 4 * math.prod(config.image_shape) * (images + recipe.batch_size) * local_size()
    require_memory(needed, key="diffusion.batch_size")


def diffusion_config(store: ImageStore, diffusion: DiffusionParams) -> DiffusionConfig:
    """The model that the data set's `diffusion` describes, of the store's images and classes."""
    network = {**diffusion.network.model_dump(), "scale_shift_norm": True}
    channels, height, width = store.image_shape
    return DiffusionConfig(
        (channels, diffusion.image_size or height, diffusion.image_size or width),
        store.num_classes,
        network,
        diffusion.schedule,
        diffusion.timesteps,
        diffusion.learned_variance,
    )


def _samples(model: DiffusionModel, samples: SamplesParams, seed: int) -> torch.Tensor:
    """Samples of each class in a row, `(C · per_class, ch, H, W)` in [0, 1]; meaningful where all timesteps are trained."""
    labels = torch.arange(model.config.num_classes).repeat_interleave(samples.per_class).to(device())
    return (model.sample(labels, samples.steps, torch_stream(seed, "samples")) + 1) / 2
