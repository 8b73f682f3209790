"""What work that is left would cost, as far as former work tells: an estimate, of this machine as it was then."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean, median

from pag.base.errors import InputError
from stages.commands.artifacts import Artifact
from stages.params.grid import read_lambda
from stages.params.methods import method_section, training_section
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths

__all__ = ["Estimates", "training_forwards"]


@dataclass(frozen=True)
class Estimates:
    """From the times of former runs.

    Attributes:
        seconds: of the last run of each artifact, by its name in `data/times.jsonl`.
        forwards: what the training of the cells that are there has cost, in forward passes of one image, by the same names.
    """

    seconds: Mapping[str, float]
    forwards: Mapping[str, float]

    def of(self, artifact: Artifact) -> float | None:
        """Seconds that an artifact took, or that others of its kind took on average, for any seed; None: nothing is known."""
        if artifact.name in self.seconds:
            return self.seconds[artifact.name]
        alike = [seconds for name, seconds in self.seconds.items() if _kind(name) == _kind(artifact.name)]
        return fmean(alike) if alike else None

    def of_training(self, cell: Cell, artifact: Artifact, forwards: float | None) -> float | None:
        """The same of a classifier; of a method that was never trained by what a forward pass took in others."""
        known = self.of(artifact)
        if known is not None or forwards is None:
            return known
        rates = list(self._rates(f"train@{cell.dataset}-{cell.architecture}-"))
        return forwards * median(rates) if rates else None

    def of_evaluation(self, cell: Cell, artifact: Artifact) -> float | None:
        """The same of an evaluation; of one that was never made the mean of the others with that architecture."""
        known = self.of(artifact)
        alike = [
            s for name, s in self.seconds.items() if name.startswith(f"evaluate@{cell.dataset}-{cell.architecture}-")
        ]
        return fmean(alike) if known is None and alike else known

    def _rates(self, beginning: str) -> Iterator[float]:
        for name, forwards in self.forwards.items():
            if name.startswith(beginning) and name in self.seconds:
                yield self.seconds[name] / forwards


def _kind(name: str) -> str:
    """Without the seeds at its end: `train@digits-resnet8-vanilla`."""
    return re.sub(r"(-\d+)+$", "", name)


def training_forwards(params: Params, cell: Cell) -> float | None:
    """What the training of a classifier would cost, in forward passes of one image; None while there are no images."""
    from pag.data.image_store import ImageStore  # these need torch, which a grid that is done need not wait for
    from stages.objectives import objective_of

    method = method_section(params, cell.dataset, cell.method)
    training = training_section(params, cell.dataset, cell.architecture, cell.method)
    try:
        store = ImageStore.open(DatasetPaths(cell.dataset).images)
        images, classes = len(store.split("train").labels), store.num_classes
    except InputError:
        return None
    lambda_ = None if method.alignment is None else _lambda(params, cell)
    k = 0 if method.alignment is None else method.alignment.classes_per_step
    return float(objective_of(method, classes, lambda_).forwards_per_step(k) * training.epochs * images)


def _lambda(params: Params, cell: Cell) -> float:
    if cell.lambda_ is not None:
        return cell.lambda_
    return read_lambda(params, cell.dataset, cell.architecture, cell.method)
