"""`prepare`: a data set's images and labels, with the validation part of its training set, into `images.zarr`."""

from pathlib import Path

from pag.base.files import written_whole
from pag.data.datasets import validation_mask
from pag.data.image_store import write_images
from pag.data.originals import Original, Selection, open_original
from pag.machine.capacity import require_disk, require_memory
from stages.params.data import DATA_PARAMS
from stages.params.reading import Params
from stages.paths import DatasetPaths, data_root
from stages.run import stage_run

__all__ = ["original_of", "run"]

COPIES = 3  # of the images in memory at once, at most, between their files and the store


def run(params: Params, dataset: str) -> Path:
    """Writes `data/<dataset>/images.zarr`.

    Raises:
        InputError: the data set is not there and cannot be had, or there is no room for it.
    """
    data, paths = params.dataset(dataset).read("data", DATA_PARAMS), DatasetPaths(dataset)
    with stage_run("prepare", dataset, outputs=[paths.images]):
        original = original_of(params, dataset)
        require_disk({data_root(params): original.download_bytes, paths.root: original.image_bytes})
        require_memory(COPIES * original.image_bytes)
        images = original.read()
        validation = validation_mask(images.train.labels, data.validation_fraction, data.split_seed)
        with written_whole(paths.images) as partial:
            write_images(partial, images, validation)
    return paths.images


def original_of(params: Params, dataset: str) -> Original:
    """A data set's original files, looked up and not read yet.

    Raises:
        InputError: a folder of images is not laid out as it must be.
    """
    data = params.dataset(dataset).read("data", DATA_PARAMS)
    selection = Selection(data.split_seed)
    if data.images_per_class is not None:
        selection = Selection(data.split_seed, data.images_per_class.train, data.images_per_class.test)
    own = data.model_dump(exclude={"source", "validation_fraction", "split_seed", "images_per_class"})
    return open_original(data.source, data_root(params), selection, **own)
