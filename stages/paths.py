"""Where every artifact lies, and the cells of the grid."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pag.base.files import in_home
from stages.params.grid import read_grid
from stages.params.reading import Params
from stages.params.section import require_names

__all__ = [
    "CHECKPOINTS",
    "CODE",
    "DATA",
    "REPORT",
    "TIMES",
    "TOY",
    "TOY_NETWORKS",
    "Cell",
    "DatasetPaths",
    "data_root",
    "grid_cells",
    "sweep_cells",
]

DATA = Path("data")
CODE = DATA / "code"
REPORT = DATA / "report"
TOY = DATA / "toy"
TOY_NETWORKS = TOY / "networks.safetensors"
TIMES = DATA / "times.jsonl"
CHECKPOINTS = Path(".checkpoints")  # outside what DVC deletes when a stage starts


def data_root(params: Params) -> Path:
    """Where the data sets' original files lie; no result depends on it.

    Raises:
        InputError: it is in the home of somebody whom the machine does not know.
    """
    return in_home(Path(params.main.read("data_root", str)))


@dataclass(frozen=True)
class DatasetPaths:
    """The artifacts of one dataset, `data/<dataset>/…`.

    Raises:
        InputError: what should be a name is none, and might lead anywhere; so in all that follows.
    """

    dataset: str

    def __post_init__(self) -> None:
        require_names(dataset=self.dataset)

    @property
    def root(self) -> Path:
        return DATA / self.dataset

    @property
    def images(self) -> Path:
        return self.root / "images.zarr"

    def diffusion(self, seed: int) -> Path:
        """Folder of the diffusion model of a targets seed."""
        return self.root / "diffusion" / str(seed)

    @property
    def test_targets(self) -> Path:
        """Score-based gradients at test images, which alignment is measured against; only `evaluate` reads them."""
        return self.root / "test_targets.zarr"

    def generated(self, seed: int) -> Path:
        """Labelled images that the diffusion model of a targets seed drew."""
        return self.root / "generated" / f"{seed}.zarr"

    def generated_targets(self, name: str, seed: int) -> Path:
        """Target gradients at the generated images, row i at image i."""
        require_names(targets=name)
        return self.root / "generated_targets" / str(seed) / f"{name}.zarr"

    def target_examples(self, seed: int) -> Path:
        """Score-based gradients of a few training images at several timesteps (figure 8)."""
        return self.root / "target_examples" / f"{seed}.safetensors"

    @property
    def former(self) -> Path:
        """Where cells of other grids are moved to; nothing reads them."""
        return self.root / "former"

    @property
    def originals(self) -> Path:
        """Which original files there are, of a data set that is a folder of images."""
        return self.root / "originals.txt"

    def figures(self, architecture: str) -> Path:
        """Folder with PNGs and `results.json`, all that the report reads of a data set and architecture."""
        require_names(architecture=architecture)
        return DATA / "figures" / f"{self.dataset}-{architecture}"

    def target_stores(self, seed: int) -> Path:
        """Folder of the target stores of a targets seed."""
        return self.root / "targets" / str(seed)

    def targets(self, name: str, seed: int) -> Path:
        require_names(targets=name)
        return self.target_stores(seed) / f"{name}.zarr"


@dataclass(frozen=True)
class Cell:
    """One classifier of the grid.

    Attributes:
        dataset, architecture, method: by their keys in params.
        seed: of its training.
        targets_seed: of the targets and generated images that it reads; None for a method that reads neither.
        lambda_: of the cells of the sweep of figure 5 alone.
    """

    dataset: str
    architecture: str
    method: str
    seed: int
    targets_seed: int | None = None
    lambda_: float | None = None

    def __post_init__(self) -> None:
        require_names(dataset=self.dataset, architecture=self.architecture, method=self.method)

    @property
    def row(self) -> str:
        """What all seeds have in common: the method, with λ for a cell of the sweep, `score_based-lambda-0.1`."""
        return self.method if self.lambda_ is None else f"{self.method}-lambda-{self.lambda_}"

    @property
    def seeds(self) -> str:
        """`3407`, or `3407-1` where it reads the targets of seed 1."""
        return str(self.seed) if self.targets_seed is None else f"{self.seed}-{self.targets_seed}"

    @property
    def name(self) -> str:
        """What the times of its stages and its checkpoints go by: `digits-resnet8-score_based-3407-1`."""
        return f"{self.dataset}-{self.architecture}-{self.row}-{self.seeds}"

    @property
    def classifier(self) -> Path:
        """Folder with `model.safetensors`, `config.json`, `metrics.json` and `curves.csv`."""
        return self._folder("classifiers")

    @property
    def evaluation(self) -> Path:
        """Folder with `metrics.json`, `outcomes.safetensors` and `targeted.safetensors`."""
        return self._folder("evaluations")

    def _folder(self, kind: str) -> Path:
        return DATA / self.dataset / kind / f"{self.architecture}-{self.row}" / self.seeds


def grid_cells(params: Params, dataset: str, architecture: str) -> Iterator[Cell]:
    """The main grid's cells, in the order of the paper's tables: vanilla, the aligned ones, those of the aligned margin, the other
    baselines, both combined, and those with generated images; each with all its seeds.
    """
    grid = read_grid(params)
    first = [name for name in grid.baselines if name == "vanilla"]
    others = [name for name in grid.baselines if name not in first]
    generated = grid.generated.methods_of(dataset)
    seeded = {method for _, method, source in grid.methods() if source is not None} | generated.keys()
    ours = (*grid.aligned, *grid.aligned_margin.methods)
    for method in (*first, *ours, *others, *grid.combined.methods, *generated):
        for seed, targets_seed in grid.seeds_of(method in seeded):
            yield Cell(dataset, architecture, method, seed, targets_seed)


def sweep_cells(params: Params, dataset: str, architecture: str) -> Iterator[Cell]:
    """The cells of the sweep of lambda (figure 5)."""
    grid = read_grid(params)
    for lambda_ in grid.lambdas:
        for seed, targets_seed in grid.seeds_of(reads_targets=True):
            yield Cell(dataset, architecture, "score_based", seed, targets_seed, lambda_)
