"""Grids of images between `visualize`, which makes them, and the page, which shows their tiles as they are, enlarged."""

import base64
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Base64Bytes, BaseModel, ValidationError

from pag.base.errors import InputError
from pag.base.json_files import read_json, write_json
from pag.figures.grids import Array, ImageGrid
from pag.figures.tiles import tile_png
from pag.page.report import Picture, PictureRow

__all__ = ["PICTURE", "SAMPLES", "read_picture", "save_grid", "save_samples"]

PICTURE, SAMPLES = (
    "picture.json",
    "diffusion-samples.json",
)  # what the page begins with, and what a diffusion model draws


class _Row(BaseModel):
    name: str
    tiles: list[Base64Bytes]
    numbers: list[str] = []


class _Stored(BaseModel):
    label: str = ""
    columns: list[str]
    rows: list[_Row]
    measures: list[str] = []
    note: str = ""


def save_grid(grid: ImageGrid, path: Path) -> None:
    """Writes a grid as the page reads it: before each row's tiles the input."""
    rows = []
    for i, (name, tiles) in enumerate(zip(grid.row_names, grid.tiles, strict=True)):
        numbers = [texts[i] for texts in grid.numbers.values()]
        rows.append({"name": name, "tiles": _texts([grid.image, *tiles]), "numbers": numbers})
    columns, measures = list(grid.class_names), list(grid.numbers)
    write_json(path, {"label": grid.label, "columns": columns, "rows": rows, "measures": measures, "note": grid.note})


def save_samples(samples: Array, class_names: Sequence[str], path: Path) -> None:
    """Writes samples of a diffusion model likewise, a row for each class.

    Args:
        samples: `(C, S, ch, H, W)` in [0, 1].
        class_names: of all classes, of which C are shown.
        path: of the file.
    """
    shown = class_names[: len(samples)]
    rows = [{"name": name, "tiles": _texts(of)} for name, of in zip(shown, samples, strict=True)]
    note = "" if len(shown) == len(class_names) else f"The first {len(shown)} of {len(class_names)} classes."
    write_json(path, {"columns": [str(i + 1) for i in range(samples.shape[1])], "rows": rows, "note": note})


def _texts(tiles: Sequence[Array] | Array) -> list[str]:
    return [base64.b64encode(tile_png(np.asarray(tile))).decode("ascii") for tile in tiles]


def read_picture(path: Path, caption: str, above: str, copy: Path | None = None) -> Picture:
    """A picture that `visualize` wrote, for the page.

    Args:
        path: of the file.
        caption: what it shows; what has to be known of the tiles is added.
        above: what its columns are.
        copy: where a copy for papers is.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        stored = _Stored.model_validate(read_json(path))
    except ValidationError:
        raise InputError(f"{path} is damaged; run `pag visualize` again.") from None
    rows = tuple(PictureRow(row.name, tuple(row.tiles), tuple(row.numbers)) for row in stored.rows)
    told, place = f"{caption} {stored.note}".strip(), "" if copy is None else str(copy)
    return Picture(told, above, tuple(stored.columns), rows, stored.label, tuple(stored.measures), place)
