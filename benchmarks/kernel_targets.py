"""Kernel targets through `pag.targets.kernel` against brute force in NumPy, and a query's time at the size of CIFAR-10.

Time is linear in queries and members, so a part of CIFAR-10's 50,000 gives it: 5,000 random images of ten classes, of which the
first are queries; brute force takes one query and class at a time, and what is compared is the time of one query. In float64.

    python benchmarks/kernel_targets.py [--quick]
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from measuring import ROOT, Bar, Row, command, devices, same_round, spread, timed
from pag.targets.kernel import posterior_means, weighted_neighbors
from pag.targets.members import Members
from pag.targets.spaces import pixel_space
from peak_memory import RESET, kilobytes

CLASSES, SHAPE, SIGMA = 10, (3, 32, 32), 1.0
CIFAR10 = 50_000  # queries, and members


@dataclass(frozen=True)
class Problem:
    """Random images of ten classes.

    Attributes:
        members: all of them.
        images: `(M, ch, H, W)` uint8, class by class.
        few: how many of them brute force answers.
        many: how many we do.
        neighbors: n.
    """

    members: Members
    images: torch.Tensor
    few: int
    many: int
    neighbors: int

    def means(self) -> torch.Tensor:
        """`r_c(x)` and r(x), `(many, C + 1, ch, H, W)`."""
        return posterior_means(self.members, self.images[: self.many], SIGMA)

    def neighbours(self) -> torch.Tensor:
        """The nearest and their weights."""
        return weighted_neighbors(self.members, self.images[: self.many], SIGMA, self.neighbors).weights

    def brute_force(self) -> NDArray[np.float64]:
        """`r_c(x)`, `(few, C, D)`, one query and class at a time."""
        pool = self.images.flatten(1).numpy().reshape(CLASSES, -1, np.prod(SHAPE)) / 255
        means = np.empty((self.few, CLASSES, pool.shape[2]))
        for row, x in enumerate(self.images[: self.few].flatten(1).numpy() / 255):
            for c in range(CLASSES):
                squares = np.square(pool[c] - x).sum(axis=1)
                squares[squares == 0] = np.inf
                weights = np.exp((squares.min() - squares) / (2 * SIGMA**2))
                means[row, c] = weights @ pool[c] / weights.sum()
        return means


def problem(quick: bool, device: torch.device) -> Problem:
    """At the given size, with the members on a device."""
    count, few, many = (60, 4, 20) if quick else (5000, 4, 512)
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, *SHAPE), dtype=np.uint8))
    labels = torch.arange(CLASSES).repeat_interleave(count // CLASSES)
    return Problem(Members(images, labels, CLASSES, pixel_space(device)), images, few, many, 4 if quick else 32)


def rows(quick: bool) -> list[Row]:
    """A row of each way to keep them, on each device, and one of memory.

    Raises:
        RuntimeError: the means differ.
    """
    return [*(row for device in devices() for row in _of_device(quick, device)), _memory(quick)]


def _memory(quick: bool) -> Row:
    name, bar = "kernel targets, means: peak memory over the stated bound", Bar(at_most=1.0)
    if not RESET.exists():
        return Row(name, bar, skipped="The system does not tell a process its peak memory in /proc.")
    folder = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {folder!r}); import kernel_targets; print(kernel_targets.growth({quick}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    count, p, d, block = (20, 6, 3072, 20) if quick else (512, 500, 3072, 512)
    bound = 8 * (block * (CLASSES + 3) * d + 2 * p * d + 5 * block * p) + 2 * 4 * count * (CLASSES + 1) * d
    return Row(name, bar, [int(done.stdout) / bound], note=f"{int(done.stdout) / 1e6:,.0f} of {bound / 1e6:,.0f} MB.")


def growth(quick: bool) -> int:
    """Bytes by which this process's peak exceeds what it held before it made means; at least 1."""
    torch.set_num_threads(1)
    given = problem(quick, torch.device("cpu"))
    posterior_means(given.members, given.images[:1], SIGMA)  # what libraries allocate once
    RESET.write_text("5", encoding="ascii")  # the peak is what is held now
    before = kilobytes("VmRSS")
    given.means()
    return max(1, 1024 * (kilobytes("VmHWM") - before))


def _of_device(quick: bool, device: torch.device) -> list[Row]:
    given = problem(quick, device)
    ours = given.means()[: given.few, :CLASSES].flatten(2).numpy()
    if not np.allclose(ours, given.brute_force(), atol=1e-6):
        raise RuntimeError("Brute force finds other means.")
    sides = {"means": given.means, "neighbours": given.neighbours, "brute force": given.brute_force}
    seconds = timed(sides, 1 if quick else 3, "kernel targets", warm_up=1)
    each = {side: given.few if side == "brute force" else given.many for side in sides}
    query = {side: [s / each[side] for s in values] for side, values in seconds.items()}
    factor = CIFAR10 / len(given.images)  # how many times as many members
    found = []
    for side in ("means", "neighbours"):
        median = spread(query[side])["median"]
        whole = median * factor * CIFAR10
        found.append(
            Row(f"kernel targets, {side}, on {device.type}: faster than brute force in NumPy", Bar(at_least=5.0),
                same_round(query["brute force"], query[side]), seconds={"ours, a query": median},
                note=f"{len(given.images)} × {np.prod(SHAPE)}; 50,000 × 50,000 would take {whole:,.0f} s."),
        )  # fmt: skip
    return found


if __name__ == "__main__":
    command(rows)
