"""`evaluate --module`: any network on pixels in [0, 1], made by a function of one's own, measured by the same code as a cell."""

from functools import partial
from pathlib import Path

import torch
from torch import nn

from pag.base.errors import InputError
from pag.base.vocabulary import Method
from pag.data.image_store import ImageStore, pixels
from pag.evaluation.blocks import Blocks
from pag.networks.checking import check_outputs
from pag.networks.families import named_callable
from stages.commands.evaluate_checkpoint import check_output
from stages.evaluate import Subject, write_evaluation
from stages.params.evaluation import EvaluationParams
from stages.params.reading import Params
from stages.paths import DatasetPaths
from stages.run import processes, stage_run

__all__ = ["run"]

METHOD = Method(name="module", objective="unknown", label="module")


def run(params: Params, module: str, dataset: str, output: Path | None, workers: int | None) -> Path:
    """Writes the files of an evaluation into a folder outside `data/`; the pipeline knows nothing of it.

    Nothing is kept of an interrupted run: what other code the factory runs is not known here.

    Args:
        params: with the section of the data set.
        module: `package.module:factory` on Python's path; called without arguments, with torch's global stream seeded.
        dataset: whose test set.
        output: the folder; None: `<factory>-evaluation` in the working directory.
        workers: processes of each rank (`stages.run.processes`), each of which calls the factory.

    Raises:
        InputError: what the factory makes is no network for these images, or the folder is in `data/` or holds other files.
    """
    folder = (Path(f"{module.rpartition(':')[2]}-evaluation") if output is None else output).resolve()
    check_output(folder)
    paths, evaluation = DatasetPaths(dataset), params.dataset(dataset).read("evaluation", EvaluationParams)
    store, load = ImageStore.open(paths.images), partial(_load, module)
    check_outputs(f"The network of {module!r}", load(), pixels(store.split("train").images[:2]), store.num_classes)
    reference = paths.test_targets if paths.test_targets.exists() else None
    with stage_run("commands/evaluate_module", f"{dataset}-{folder.name}", outputs=[folder], timed=False):
        blocks = Blocks(evaluation.block_size, params.seed, processes(workers))
        write_evaluation(folder, Subject(dataset, module, METHOD, None, load), evaluation, reference, blocks)
    return folder


def _load(module: str) -> nn.Module:
    make = named_callable(module, "The factory")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # weights that the factory draws are the same in every process
        network = make()
    if not isinstance(network, nn.Module):
        raise InputError(f"The factory {module!r} returns a {type(network).__name__}, not a torch.nn.Module.")
    return network.eval()
