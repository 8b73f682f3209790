"""Where every artifact lies, and the cells of the grid."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pag.base.files import in_home
from stages.params.grid import read_grid
from stages.params.reading import Params
from stages.params.section import require_names

__all__ = [
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

    @property
    def diffusion(self) -> Path:
        return self.root / "diffusion"

    @property
    def test_targets(self) -> Path:
        """Score-based gradients at test images, which alignment is measured against; only `evaluate` reads them."""
        return self.root / "test_targets.zarr"

    @property
    def generated(self) -> Path:
        """Labelled images that the diffusion model drew."""
        return self.root / "generated.zarr"

    def generated_targets(self, name: str) -> Path:
        """Target gradients at the generated images, row i at image i."""
        require_names(targets=name)
        return self.root / "generated_targets" / f"{name}.zarr"

    @property
    def target_examples(self) -> Path:
        """Score-based gradients of a few training images at several timesteps (figure 8)."""
        return self.root / "target_examples.safetensors"

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

    def targets(self, name: str) -> Path:
        require_names(targets=name)
        return self.root / "targets" / f"{name}.zarr"


@dataclass(frozen=True)
class Cell:
    """One classifier of the grid; `lambda_` is set for the cells of the sweep of figure 5 alone."""

    dataset: str
    architecture: str
    method: str
    lambda_: float | None = None

    def __post_init__(self) -> None:
        require_names(dataset=self.dataset, architecture=self.architecture, method=self.method)

    @property
    def name(self) -> str:
        base = f"{self.architecture}-{self.method}"
        return base if self.lambda_ is None else f"{base}-lambda-{self.lambda_}"

    @property
    def classifier(self) -> Path:
        """Folder with `model.safetensors`, `config.json`, `metrics.json` and `curves.csv`."""
        return DATA / self.dataset / "classifiers" / self.name

    @property
    def evaluation(self) -> Path:
        """Folder with `metrics.json`, `outcomes.safetensors` and `targeted.safetensors`."""
        return DATA / self.dataset / "evaluations" / self.name


def grid_cells(params: Params, dataset: str, architecture: str) -> Iterator[Cell]:
    """The main grid's cells, in the order of the paper's tables: vanilla, the aligned ones, the other baselines, both combined."""
    grid = read_grid(params)
    first = [name for name in grid.baselines if name == "vanilla"]
    others = [name for name in grid.baselines if name not in first]
    for method in (*first, *grid.aligned, *others, *grid.combined.methods):
        yield Cell(dataset, architecture, method)


def sweep_cells(params: Params, dataset: str, architecture: str) -> Iterator[Cell]:
    """The cells of the sweep of lambda (figure 5)."""
    for lambda_ in read_grid(params).lambdas:
        yield Cell(dataset, architecture, "score_based", lambda_)
