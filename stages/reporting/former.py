"""Cells of former grids: moved aside, so that what is gathered, and what DVC keeps of it, is a function of today's grid alone."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from pag.base.files import replace
from stages.params.grid import read_grid
from stages.params.methods import method_section, source_of
from stages.params.reading import Params
from stages.params.targets import TARGET, ImportedParams
from stages.paths import DatasetPaths, grid_cells, sweep_cells

__all__ = ["set_aside"]


def set_aside(params: Params, dataset: str) -> None:
    """Moves what `visualize` gathers of a data set and today's grid does not have to `data/<dataset>/former/`.

    Nothing is lost: DVC restores the cells of its own runs where a grid asks for them again. Imported targets stay, since no stage
    makes them.
    """
    paths = DatasetPaths(dataset)
    for path in _strangers(params, dataset):
        replace(path, paths.former / path.relative_to(paths.root))


def _strangers(params: Params, dataset: str) -> Iterator[Path]:
    """Of the folders that `visualize` gathers; of targets it shows those of the first seed."""
    paths, grid = DatasetPaths(dataset), read_grid(params)
    walks = ((walk, architecture) for walk in (grid_cells, sweep_cells) for architecture in grid.architectures)
    cells = list(chain.from_iterable(walk(params, dataset, architecture) for walk, architecture in walks))
    sources = {source_of(method, method_section(params, dataset, method)) for _, method, _ in grid.methods()}
    stores = {
        paths.targets(source, grid.targets_seeds[0])
        for source in (*sources, *grid.heuristics, "score_based", *_imported(params, dataset))
        if source
    }
    known = stores | {cell.classifier for cell in cells} | {cell.evaluation for cell in cells}
    folders = {path.parent.parent for path in known - stores}
    found = [*chain(*map(_cells_in, folders)), *paths.target_stores(grid.targets_seeds[0]).glob("[!.]*")]
    yield from (path for path in sorted(found) if path not in known)


def _cells_in(folder: Path) -> Iterator[Path]:
    """The folders of cells, `<architecture>-<method>/<seeds>`, and what is none."""
    for path in folder.glob("[!.]*"):
        yield from path.glob("[!.]*") if path.is_dir() else [path]


def _imported(params: Params, dataset: str) -> list[str]:
    file = params.dataset(dataset)
    return [
        name for name in file.content["targets"] if isinstance(file.read(f"targets.{name}", TARGET), ImportedParams)
    ]
