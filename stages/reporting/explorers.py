"""The explorer of the page: what each network sees of each image on its way to each class, by ε, in a few hundred kilobytes."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pag.figures.tiles import tile_png
from pag.page.report import Explorer
from stages.params.evaluation import EvaluationParams
from stages.reporting.targeted import Array, Targeted

__all__ = ["EXPLORER", "explorer_data", "read_explorer"]

EXPLORER = "explorer.json"
LEVELS = 255  # of a probability


def explorer_data(
    networks: Mapping[str, Targeted], class_names: Sequence[str], evaluation: EvaluationParams, shown: Sequence[str]
) -> dict[str, object]:
    """What the page's script reads (`pag/page/explorer.js`).

    Args:
        networks: by the labels of methods; at least one, all tried with the same images, classes and ε.
        class_names: C names.
        evaluation: the threats that AutoAttack was run with, of which those of the ladder's norm are marked.
        shown: the labels that are shown at first, one or two.
    """
    first = next(iter(networks.values()))
    norm = evaluation.targeted.norm
    return {
        "classes": list(class_names),
        "labels": first.labels.tolist(),
        "targets": first.frames.shape[1],
        "norm": norm,
        "epsilons": first.epsilons.tolist(),
        "threats": sorted({threat.eps for threat in evaluation.threats.values() if threat.norm == norm}),
        "shape": list(first.frames.shape[3:]),
        "shown": list(shown),
        "networks": [
            {"label": label, "sprite": _text(_sprite(of.frames)), "probabilities": _text(_levels(of.probabilities))}
            for label, of in networks.items()
        ],
    }


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


def read_explorer(path: Path) -> Explorer | None:
    """The explorer of what `visualize` wrote; None where the grid has no network to show."""
    return Explorer(path.read_text(encoding="utf-8").strip()) if path.exists() else None
