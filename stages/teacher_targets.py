"""`teacher_targets`: the margin gradients of a trained classifier at the training images, in shards, which the ranks share out."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from torch import Tensor

from pag.base.errors import InputError
from pag.data.image_store import ImageStore, pixels
from pag.networks.classifier import check_classifier, load_classifier
from pag.targets.store import Origin
from pag.targets.teacher import margin_gradients
from pag.targets.writing import Layout, write_gradients
from stages.params.reading import Params
from stages.params.section import Threads
from stages.params.targets import TARGET, TeacherParams, teacher_targets
from stages.paths import Cell, DatasetPaths
from stages.run import device, stage_run

__all__ = ["run"]

THREADS: TypeAdapter[int] = TypeAdapter(Threads)


def run(params: Params, dataset: str, architecture: str, method: str, seed: int) -> Path:
    """Writes `data/<dataset>/targets/<seed>/teacher_<method>.zarr` of the classifier that was trained with that seed.

    Raises:
        InputError: the teacher is not there, or was trained on other images or classes.
    """
    name, file, teacher = teacher_targets(method), params.dataset(dataset), Cell(dataset, architecture, method, seed)
    destination, target = DatasetPaths(dataset).targets(name, seed), file.read(f"targets.{name}", TARGET)
    images = DatasetPaths(dataset).images
    if not isinstance(target, TeacherParams):
        raise InputError(f"{file.name}: targets.{name} has the source {target.source}, not teacher.")
    weights = [teacher.classifier / "model.safetensors", teacher.classifier / "config.json"]
    with stage_run(
        "teacher_targets",
        teacher.name,
        outputs=[destination],
        values=[target],
        inputs=[images, *weights],
        threads=file.read("training.threads", THREADS),
    ) as kept:
        store = ImageStore.open(images)
        check_classifier(teacher.classifier, _expected(store))
        model, every, count = load_classifier(teacher.classifier).to(device()), store.all_training(), store.num_classes

        def compute(index: Tensor) -> Tensor:
            return margin_gradients(model, pixels(every.images[index]), every.labels[index], count)

        shape = (store.num_training, count, *store.image_shape)
        layout = Layout(
            shape, target.shard_size, f"targets.{name}.shard_size", target.dtype, origin=Origin(store.checksum, "train")
        )
        write_gradients(destination, layout, compute, kept)
    return destination


def _expected(store: ImageStore) -> dict[str, Any]:
    """What the configuration of a classifier of these images says."""
    return {"num_classes": store.num_classes, "image_shape": list(store.image_shape), "images": store.checksum}
