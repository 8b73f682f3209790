"""The picture that the page begins with: an image pulled toward each class, by vanilla and by an aligned network."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Base64Bytes, BaseModel, ValidationError

from pag.base.errors import InputError
from pag.base.json_files import read_json
from pag.figures.names import eps_text, norm_name
from pag.figures.tiles import tile_png
from pag.page.report import Picture, PictureRow
from stages.params.evaluation import TargetedParams
from stages.reporting.methods import MethodResult, MethodResults
from stages.reporting.targeted import Targeted

__all__ = ["PICTURE", "beside_vanilla", "picture_of", "read_picture"]

PICTURE = "picture.json"
COLUMNS = 10  # which a page of usual width holds


class _Row(BaseModel):
    name: str
    tiles: list[Base64Bytes]


class _Stored(BaseModel):
    label: str
    num_classes: int
    columns: list[str]
    rows: list[_Row]


def beside_vanilla(results: MethodResults) -> list[MethodResult]:
    """Vanilla, and the method that is shown beside it: score-based targets, or the first that aligns gradients."""
    aligned = [method for method in results.methods if method.method.source is not None]
    shown = results.score_based or next(iter(aligned), None)
    return [method for method in (results.vanilla, shown) if method is not None]


def picture_of(networks: Mapping[str, Targeted], class_names: Sequence[str]) -> dict[str, Any]:
    """What is kept of the picture, as JSON takes it; of each network the first image is shown.

    Args:
        networks: by the names of rows.
        class_names: C names.
    """
    first = next(iter(networks.values()))
    shown = list(class_names[: min(COLUMNS, first.frames.shape[1])])
    tiles = {name: [of.images[0], *of.adversarial[0, : len(shown)]] for name, of in networks.items()}
    rows = [
        {"name": name, "tiles": [base64.b64encode(tile_png(tile)).decode("ascii") for tile in of]}
        for name, of in tiles.items()
    ]
    return {"label": class_names[first.labels[0]], "num_classes": len(class_names), "columns": shown, "rows": rows}


def read_picture(path: Path, targeted: TargetedParams) -> Picture | None:
    """The picture that `visualize` kept, with its caption; None where the grid has nothing to show.

    Args:
        path: of the file.
        targeted: the attack.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        stored = _Stored.model_validate(read_json(path))
    except ValidationError:
        raise InputError(f"{path} is damaged; run `pag visualize` again.") from None
    few = (
        f" The first {len(stored.columns)} of {stored.num_classes} classes."
        if stored.num_classes > len(stored.columns)
        else ""
    )
    caption = (
        f"A test image of class {stored.label}, pulled toward each class by a targeted attack of large ε "
        f"({norm_name(targeted.norm)}, ε = {eps_text(targeted.eps)}). A network with perceptually aligned gradients (PAG) draws "
        f"the class that it is pulled toward; vanilla's adds noise.{few}"
    )
    rows = tuple(PictureRow(row.name, tuple(row.tiles)) for row in stored.rows)
    return Picture(caption, stored.label, tuple(stored.columns), rows)
