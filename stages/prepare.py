"""`prepare`: a data set's images and labels, with the validation part of its training set, into `images.zarr`."""

from pag.datasets import load, validation_mask
from pag.files import written_whole
from pag.stores import write_images
from stages.execution import stage_run
from stages.params import Params
from stages.paths import DatasetPaths

__all__ = ["run"]


def run(params: Params, dataset: str) -> None:
    """Writes `data/<dataset>/images.zarr`."""
    data = params.dataset(dataset).data
    with stage_run(f"prepare@{dataset}"):
        images = load(dataset, test_fraction=data.test_fraction, split_seed=data.split_seed)
        validation = validation_mask(images.train.labels, data.validation_fraction, data.split_seed)
        with written_whole(DatasetPaths(dataset).images) as partial:
            write_images(partial, images, validation)
