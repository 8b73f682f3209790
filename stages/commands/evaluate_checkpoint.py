"""`evaluate --checkpoint`: weights from anywhere, measured by the same code and in the same form as a cell of the grid."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from pag.base.errors import InputError
from pag.base.vocabulary import Method
from pag.data.image_store import ImageStore
from pag.evaluation.blocks import Blocks
from pag.evaluation.metrics import read_metrics
from pag.networks.architectures import build
from pag.networks.classifier import load_weights
from stages.evaluate import FILES, Subject, write_evaluation
from stages.params.architectures import read_architecture
from stages.params.evaluation import EvaluationParams
from stages.params.reading import Params
from stages.paths import DATA, DatasetPaths
from stages.run import processes, stage_run

__all__ = ["check_output", "run"]

METHOD = Method(name="checkpoint", objective="unknown", label="checkpoint")


def run(
    params: Params, checkpoint: Path, dataset: str, architecture: str, output: Path | None, workers: int | None
) -> Path:
    """Writes the files of an evaluation into a folder outside `data/`; the pipeline knows nothing of it.

    Alignment is measured where the data set has score-based gradients at its test images.

    Args:
        params: with the sections of the data set and the architecture.
        checkpoint: weights (`pag.networks.classifier.load_weights`).
        dataset: whose test set.
        architecture: that the weights are of.
        output: the folder; None: `<stem>-evaluation` beside the checkpoint.
        workers: processes of each rank (`stages.run.processes`).

    Raises:
        InputError: a file is missing or does not fit, or the folder is in `data/` or holds anything but an earlier evaluation.
    """
    folder = (checkpoint.with_name(f"{checkpoint.stem}-evaluation") if output is None else output).resolve()
    check_output(folder)
    paths, evaluation = DatasetPaths(dataset), params.dataset(dataset).read("evaluation", EvaluationParams)
    options = read_architecture(params, architecture).options
    store = ImageStore.open(paths.images)
    load = partial(_load, checkpoint, store.image_shape, store.num_classes, options)
    load()  # weights that do not fit fail before anything is made
    reference = paths.test_targets if paths.test_targets.exists() else None
    inputs = [paths.images, checkpoint, *([] if reference is None else [reference])]
    cell, values = f"{dataset}-{architecture}-{checkpoint.stem}", [params.seed, evaluation, options]
    with stage_run(
        "commands/evaluate_checkpoint", cell, outputs=[folder], values=values, inputs=inputs, timed=False
    ) as kept:
        subject = Subject(dataset, architecture, METHOD, None, load)
        blocks = Blocks(evaluation.block_size, params.seed, processes(workers), kept)
        write_evaluation(folder, subject, evaluation, reference, blocks)
    return folder


def check_output(folder: Path) -> None:
    """The folder is written anew as a whole: raises InputError where it is in `data/` or holds more than an earlier evaluation."""
    if folder.resolve().is_relative_to(DATA.resolve()):
        raise InputError(f"{folder} is in {DATA}/, which belongs to the pipeline; give another folder with --output.")
    for path in sorted(folder.iterdir()) if folder.is_dir() else [folder] if folder.exists() else []:
        if not _is_of_an_evaluation(path):
            raise InputError(f"{path} is in the way; give a new folder with --output.")


def _is_of_an_evaluation(path: Path) -> bool:
    """Whether a file is one that we have written: others may well have a `metrics.json`."""
    if path.name not in FILES or not path.is_file():
        return False
    try:
        read_metrics(path.with_name(FILES[0]))
    except InputError:
        return False
    return True


def _load(
    checkpoint: Path, image_shape: tuple[int, int, int], num_classes: int, options: Mapping[str, Any]
) -> nn.Module:
    model = build(image_shape=image_shape, num_classes=num_classes, **options)
    load_weights(checkpoint, model)
    return model.eval()
