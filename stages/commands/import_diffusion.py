"""`import diffusion`: a checkpoint of improved-diffusion takes the place of the model that `train_diffusion` would train."""

from pathlib import Path

from pag.base.errors import InputError
from pag.data.image_store import ImageStore, pixels
from pag.data.resizing import resize
from pag.diffusion.model import DiffusionConfig
from pag.diffusion.training import denoising_loss
from pag.networks.checkpoints import load_state, read_state_dict
from stages.params.diffusion import DiffusionParams
from stages.params.reading import Params
from stages.paths import DatasetPaths
from stages.run import device, stage_run
from stages.train_diffusion import diffusion_config, write_diffusion

__all__ = ["run"]

LABELS = "label_emb.weight"
EXAMPLES = 256  # validation images that the imported model is tried on


def run(params: Params, dataset: str, file: Path, seed: int) -> Path:
    """Writes `data/<dataset>/diffusion/<seed>/` from the weights in `file`, of the architecture that `diffusion` describes.

    The loss that is kept with it is that on validation images: a model of other pixels, times or noise shows by a loss near 1.

    Raises:
        InputError: the file is missing, damaged, of another architecture, or of a model without the label "no class".
    """
    paths, diffusion = DatasetPaths(dataset), params.dataset(dataset).read("diffusion", DiffusionParams)
    destination, cell = paths.diffusion(seed), f"{dataset}-{seed}"
    with stage_run("commands/import_diffusion", cell, outputs=[destination], threads=diffusion.threads):
        store, state = ImageStore.open(paths.images), read_state_dict(file)
        config = diffusion_config(store, diffusion)
        _check_labels(state[LABELS].shape[0] if LABELS in state else 0, config, file)
        model = config.build()
        load_state(state, model.network, file)
        model.network.to(device()).eval()
        part = store.split("validation")
        _, height, width = config.image_shape
        x = resize(pixels(part.images[:EXAMPLES]), height, width).clamp(0, 1)
        loss = denoising_loss(model, x, part.labels[:EXAMPLES], seed)
        write_diffusion(destination, model, [{"step": 0, "loss": loss}], diffusion.samples, seed)
    print(f"The loss on {len(x)} validation images is {loss:.4f}. To have the pipeline take the model as it is:")
    print(f"dvc commit --force train_diffusion@{cell}")
    return destination


def _check_labels(labels: int, config: DiffusionConfig, file: Path) -> None:
    if labels in (0, config.num_classes):
        raise InputError(
            f"{file} holds a model with {labels} labels; eq. (8) also needs the unconditional score, which is label C of C + 1 = "
            f"{config.num_classes + 1} (appendix G.2)."
        )
