"""The explorer of the page: what each network sees of each image on its way to each class, by ε, in a few hundred kilobytes."""

import base64
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import Base64Bytes, BaseModel, ValidationError

from pag.base.errors import InputError
from pag.base.json_files import json_text, read_json
from pag.figures.names import eps_text
from pag.figures.tiles import tile_png
from pag.page.report import Explorer
from stages.params.evaluation import EvaluationParams
from stages.reporting.targeted import Array, Targeted

__all__ = ["EXPLORER", "explorer_data", "read_explorer"]

EXPLORER = "explorer.json"
LEVELS = 255  # of a probability
MOST = 16e6  # bytes of pixels, before compression: a page of several times as much opens slowly


class _Network(BaseModel):
    label: str
    sprite: Base64Bytes
    probabilities: Base64Bytes


class _Stored(BaseModel):
    classes: list[str]
    labels: list[int]
    tried: int
    targets: int
    norm: str
    epsilons: list[float]
    sizes: list[str]
    threats: list[float]
    shape: tuple[int, int, int]
    shown: list[str]
    networks: list[_Network]


def explorer_data(
    networks: Mapping[str, Targeted], class_names: Sequence[str], evaluation: EvaluationParams, shown: Sequence[str]
) -> dict[str, object]:
    """What the page's script reads (`pag/page/explorer.js`); of large images not all that were tried.

    Args:
        networks: by the labels of methods; at least one, all tried with the same images, classes and ε.
        class_names: C names.
        evaluation: the threats that AutoAttack was run with, of which those of the ladder's norm are marked.
        shown: the labels that are shown at first, one or two.
    """
    first = next(iter(networks.values()))
    norm = evaluation.targeted.norm
    few = slice(_most_images(networks.values()))
    return {
        "classes": list(class_names),
        "labels": first.labels[few].tolist(),
        "tried": len(first.labels),
        "targets": first.frames.shape[1],
        "norm": norm,
        "epsilons": first.epsilons.tolist(),
        "sizes": [eps_text(eps) for eps in first.epsilons.tolist()],
        "threats": sorted({threat.eps for threat in evaluation.threats.values() if threat.norm == norm}),
        "shape": list(first.frames.shape[3:]),
        "shown": list(shown),
        "networks": [
            {
                "label": label,
                "sprite": _text(_sprite(of.frames[few])),
                "probabilities": _text(_levels(of.probabilities[few])),
            }
            for label, of in networks.items()
        ],
    }


def _most_images(networks: Collection[Targeted]) -> int:
    """How many images take no more than the page can hold, at least one."""
    of_one = sum(of.frames[0].nbytes for of in networks)
    return max(1, int(MOST // of_one))


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _sprite(frames: Array) -> bytes:
    """All frames `(n, K, E, ch, H, W)` in one PNG: a row of E tiles for each image and class."""
    n, classes, ladder, channels, height, width = frames.shape
    rows = frames.transpose(3, 0, 1, 4, 2, 5).reshape(channels, n * classes * height, ladder * width)
    return tile_png(rows / np.float32(255))


def _levels(probabilities: Array) -> bytes:
    """Probabilities in 255ths, a byte each, in order of `(n, K, E, C)`."""
    return np.round(LEVELS * probabilities).astype(np.uint8).tobytes()


def read_explorer(path: Path) -> Explorer:
    """The explorer of what `visualize` wrote.

    Raises:
        InputError: the file is missing or damaged, or was written by an older version.
    """
    stored = read_json(path)
    try:
        _Stored.model_validate(stored)
    except ValidationError:
        raise InputError(f"{path} is damaged; run `pag visualize` again.") from None
    return Explorer(json_text(stored, ensure_ascii=False, separators=(",", ":")))
