"""What today's grid makes, in the order of the pipeline: each artifact with the stage that makes it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from stages.params.grid import read_grid
from stages.params.reading import Params
from stages.params.targets import teacher_targets
from stages.paths import TOY, TOY_NETWORKS, Cell, DatasetPaths, grid_cells, sweep_cells

__all__ = ["Artifact", "evaluated", "of_grid", "toy", "trained", "upstream"]


@dataclass(frozen=True)
class Artifact:
    """What one run of a stage makes.

    Attributes:
        stage: its module in `stages`.
        work: which of the stage's cells it is, as its time and its checkpoints go by; empty for a stage that has one.
        path: the file or folder.
    """

    stage: str
    work: str
    path: Path

    @property
    def name(self) -> str:
        """As `data/times.jsonl` has it: `train@digits-resnet8-vanilla-3407`."""
        return f"{self.stage}@{self.work}" if self.work else self.stage


def trained(cell: Cell) -> Artifact:
    """The classifier of a cell."""
    return Artifact("train", cell.name, cell.classifier)


def evaluated(cell: Cell) -> Artifact:
    """Its evaluation."""
    return Artifact("evaluate", cell.name, cell.evaluation)


def of_grid(params: Params, dataset: str, architecture: str) -> Iterator[Cell]:
    """The cells of the main grid, then those of the sweep of λ."""
    return chain(grid_cells(params, dataset, architecture), sweep_cells(params, dataset, architecture))


def upstream(params: Params, dataset: str) -> Iterator[Artifact]:
    """What the classifiers of a data set are made from."""
    paths, grid = DatasetPaths(dataset), read_grid(params)
    yield Artifact("prepare", dataset, paths.images)
    yield Artifact("score_targets", f"{dataset}-test", paths.test_targets)
    for seed in grid.targets_seeds:
        yield Artifact("train_diffusion", f"{dataset}-{seed}", paths.diffusion(seed))
        yield Artifact("score_targets", f"{dataset}-{seed}", paths.targets("score_based", seed))
        for source in grid.heuristics:
            yield Artifact("heuristic_targets", f"{dataset}-{source}-{seed}", paths.targets(source, seed))
        for method in grid.teachers.methods:
            teacher = Cell(dataset, grid.teachers.architecture, method, seed)
            yield Artifact("teacher_targets", teacher.name, paths.targets(teacher_targets(method), seed))
        yield from _generated(params, paths, seed)


def _generated(params: Params, paths: DatasetPaths, seed: int) -> Iterator[Artifact]:
    grid, dataset = read_grid(params).generated, paths.dataset
    if dataset not in grid.datasets:
        return
    yield Artifact("generate", f"{dataset}-{seed}", paths.generated(seed))
    for source in grid.aligned:
        yield Artifact("generated_targets", f"{dataset}-{source}-{seed}", paths.generated_targets(source, seed))


def toy() -> Iterator[Artifact]:
    """What the toy experiment makes."""
    yield Artifact("train_toy", "", TOY_NETWORKS)
    yield Artifact("evaluate_toy", "", TOY / "metrics.json")
