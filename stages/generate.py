"""`generate`: labelled images that the diffusion model draws, in shards, which the ranks share out."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pag.base.files import written_whole
from pag.data.generated_store import write_generated
from pag.data.image_store import ImageStore
from pag.data.resizing import resize
from pag.diffusion.generation import generated_images
from pag.diffusion.model import DiffusionModel, load_diffusion
from pag.machine.capacity import require_disk, require_memory
from pag.machine.progress import progress
from pag.machine.ranks import barrier, deal, first, from_first
from pag.networks.checkpoints import file_digest
from stages.params.diffusion import DiffusionParams
from stages.params.generated import GeneratedParams, require_all_timesteps
from stages.params.reading import Params, dataset_file
from stages.paths import DatasetPaths
from stages.run import device, stage_run

__all__ = ["run"]

SHARD = 256  # images between two checkpoints
COPIES = 3  # of all images at once, where they are written: the shards, their concatenation and what is compressed


def run(params: Params, dataset: str, seed: int) -> Path:
    """Writes `data/<dataset>/generated/<seed>.zarr`: `per_class` images of each class, labels 0 … C − 1 in turn.

    The seed is of the diffusion model that draws them, and of the noise that they start from.
    """
    paths, file = DatasetPaths(dataset), params.dataset(dataset)
    generated, diffusion = file.read("generated", GeneratedParams), file.read("diffusion", DiffusionParams)
    require_all_timesteps(dataset_file(dataset), diffusion)
    folder, destination = paths.diffusion(seed), paths.generated(seed)
    with stage_run(
        "generate",
        f"{dataset}-{seed}",
        outputs=[destination],
        values=[seed, generated, diffusion.precision],
        inputs=[paths.images, folder],
        threads=diffusion.threads,
        precision=diffusion.precision,
    ) as kept:
        store, model = ImageStore.open(paths.images), load_diffusion(folder, device())
        model.config.check_matches(folder, store.num_classes, store.image_shape[0], generated.steps - 1)
        labels = torch.arange(store.num_classes).repeat(generated.per_class)
        _draw(labels, model, generated, seed, store.image_shape, kept)
        if first():
            drawn = b"".join(_shard(kept, n).read_bytes() for n in range(-(-len(labels) // SHARD)))
            channels, height, width = store.image_shape
            images = np.frombuffer(drawn, np.uint8).reshape(-1, height, width, channels)
            digest = file_digest(folder / "model.safetensors")
            with written_whole(destination) as partial:
                write_generated(partial, images, labels.numpy(), store.num_classes, store.checksum, digest)
    return destination


def _draw(
    labels: Tensor, model: DiffusionModel, how: GeneratedParams, seed: int, shape: tuple[int, int, int], kept: Path
) -> None:
    """Draws what is not under `kept` yet, each rank its shards."""
    numbers = torch.arange(len(labels)).split(SHARD)

    def left() -> list[int]:
        missing = [n for n in range(len(numbers)) if not _shard(kept, n).exists()]
        size = len(labels) * int(np.prod(shape))
        require_disk({kept: 2 * size})  # the shards and the store
        require_memory(COPIES * size, key="generated.per_class")
        return missing

    mine = deal(from_first(left))
    with progress("generated images", sum(len(numbers[n]) for n in mine)) as meter:
        for n in mine:
            own = numbers[n]
            options = how.model_dump(include={"steps", "eta", "guidance"})
            x = generated_images(model, labels[own], own, **options, seed=seed)
            with written_whole(_shard(kept, n)) as partial:
                partial.write_bytes(_stored(x, shape).tobytes())
            meter.advance(len(own))
    barrier()


def _stored(x: Tensor, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Pixels `(N, ch, H, W)` in [0, 1], of the model's size, as the data set's images are stored: `(N, H, W, ch)` uint8."""
    values = (resize(x, *shape[1:]).clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(values.numpy().transpose(0, 2, 3, 1))


def _shard(kept: Path, number: int) -> Path:
    return kept / f"shard-{number}.bin"
