"""Where the names of points stand: beside them, within the panel, over as few points and other names as can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Label", "place_labels"]

Place = tuple[float, float]
Box = tuple[float, float, float, float]  # left, upper, right and lower edge, in pixels

CHARACTER, HEIGHT = 6.3, 11.0  # of a letter of 10.5 pixels, on average
POINT = 6.0  # half of a point's width
RINGS = (9.0, 15.0, 23.0, 33.0, 45.0, 59.0, 75.0, 93.0)


@dataclass(frozen=True)
class Label:
    """Where a name stands: its left end, its middle line and its width, in pixels from the upper left corner of the panel.

    Attributes:
        far: whether a line is to lead to its point.
    """

    x: float
    y: float
    width: float
    far: bool


def place_labels(
    names: Sequence[str],
    points: Sequence[Place],
    width: float,
    height: float,
    steps: Sequence[Place] = (),
) -> list[Label]:
    """A label for each point, in the order of the points; the most crowded ones are placed first.

    Args:
        names: of the points.
        points: in pixels from the upper left corner.
        width, height: of the panel, which labels do not leave.
        steps: the corners of a line that goes across, then up, from each to the next.
    """
    taken: list[Box] = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    for (x0, y0), (x1, y1) in pairwise(steps):
        taken += [(x0, y0 - 1, x1, y0 + 1), (x1 - 1, min(y0, y1), x1 + 1, max(y0, y1))]
    found: dict[int, Label] = {}
    for i in sorted(range(len(points)), key=lambda i: -_neighbors(points, i)):
        boxes = _boxes(*points[i], CHARACTER * len(names[i]))
        inside = [n for n, box in enumerate(boxes) if _within(box, width, height)] or [0]
        chosen = min(inside, key=lambda n: (_hidden(boxes[n], taken), n))
        box = boxes[chosen]
        taken.append(box)
        found[i] = Label(box[0], (box[1] + box[3]) / 2, box[2] - box[0], chosen >= len(boxes) // len(RINGS))
    return [found[i] for i in range(len(points))]


def _neighbors(points: Sequence[Place], i: int) -> int:
    x, y = points[i]
    return sum(abs(x - other_x) < 60 and abs(y - other_y) < 20 for other_x, other_y in points)


def _boxes(x: float, y: float, width: float) -> list[Box]:
    """Boxes about a point, from the nearest ring to the farthest: right, left, above, below, and four diagonals."""
    half = HEIGHT / 2
    corners = [
        corner
        for r in RINGS
        for corner in (
            (x + r, y - half), (x - r - width, y - half), (x - width / 2, y - r - HEIGHT + 2), (x - width / 2, y + r - 2),
            (x + 0.7 * r, y - 0.7 * r - HEIGHT), (x + 0.7 * r, y + 0.7 * r),
            (x - 0.7 * r - width, y - 0.7 * r - HEIGHT), (x - 0.7 * r - width, y + 0.7 * r),
        )
    ]  # fmt: skip
    return [(left, upper, left + width, upper + HEIGHT) for left, upper in corners]


def _within(box: Box, width: float, height: float) -> bool:
    return box[0] >= 3 and box[1] >= 0 and box[2] <= width and box[3] <= height


def _hidden(a: Box, others: Sequence[Box]) -> int:
    """How many boxes a box lies over."""
    return sum(a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3] for b in others)
