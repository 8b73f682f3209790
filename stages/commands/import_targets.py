"""`import targets`: a published tensor of target gradients becomes a target store that methods can read."""

import math
from pathlib import Path

from pag.base.errors import InputError
from pag.base.files import written_whole
from pag.data.image_store import ImageStore
from pag.machine.capacity import require_disk
from pag.machine.progress import progress
from pag.targets.gradient_store import create_gradients, shard_rows, write_shard
from pag.targets.published import read_published_targets
from pag.targets.store import Origin
from stages.params.reading import Params
from stages.params.targets import TARGET, ImportedParams
from stages.paths import DatasetPaths
from stages.run import stage_run

__all__ = ["run"]


def run(params: Params, dataset: str, name: str, file: Path, labels: Path, seed: int) -> Path:
    """Writes `data/<dataset>/targets/<seed>/<name>.zarr`, beside those that are made with that seed.

    No stage of `dvc.yaml` makes that store: it is an input, which the stages that read it depend on by its content.

    Raises:
        InputError: the store's name is not that of imported targets, or the file does not have a row for each training image.
    """
    paths, target = DatasetPaths(dataset), params.dataset(dataset).read(f"targets.{name}", TARGET)
    if not isinstance(target, ImportedParams):
        raise InputError(
            f"{params.dataset(dataset).name}: targets.{name} is made by a stage; import under another name."
        )
    destination = paths.targets(name, seed)
    with stage_run("commands/import_targets", f"{dataset}-{name}-{seed}", outputs=[destination]):
        store = ImageStore.open(paths.images)
        published, training = read_published_targets(file, labels), store.all_training()
        published.check_matches(store.num_classes, store.image_shape)
        rows = published.rows_of(training)
        require_disk({destination: 2 * len(rows) * store.num_classes * math.prod(store.image_shape)})  # float16
        with written_whole(destination) as partial, progress(f"{name}.zarr", len(rows)) as meter:
            shape, origin = (len(rows), store.num_classes, *store.image_shape), Origin(store.checksum, "train")
            create_gradients(partial, shape, target.shard_size, origin=origin)
            for number, shard in enumerate(shard_rows(len(rows), target.shard_size)):
                gradients = published.gradients(rows[shard.start : shard.stop])
                write_shard(partial, number, gradients.numpy())
                meter.advance(len(shard))
    return destination
