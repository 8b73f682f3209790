"""The peak memory of the alignment step, k = 10 with a batch of 16, against the repeated batch's.

Each form runs in fresh processes; what counts is how far the process's resident memory grows during its first step, beyond network
and batch.

    python benchmarks/peak_memory.py [--quick]
"""

import subprocess
import sys
from pathlib import Path

import torch

from measuring import ROOT, Bar, Row, command, same_round, spread
from pag.training.objectives import Objective
from steps import CLASSES, RepeatedBatch, aligned, training_step

BAR = Bar(at_most=0.6)
NAME = "peak memory of the alignment step, k = 10, batch of 16: over the repeated batch's"
FORMS: dict[str, Objective] = {"ours": aligned(), "repeated": RepeatedBatch(weight=1.0, num_classes=CLASSES)}
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # of Linux


def rows(quick: bool) -> list[Row]:
    """One row."""
    if not RESET.exists():
        return [Row(NAME, BAR, skipped="The system does not tell a process its peak memory in /proc.")]
    grown: dict[str, list[float]] = {form: [] for form in FORMS}
    for _ in range(1 if quick else 2):
        for form, sizes in grown.items():
            sizes.append(_in_process_of_its_own(form, quick))
    told = ", ".join(f"{form} {spread(sizes)['median'] / 1e6:,.0f} MB" for form, sizes in grown.items())
    return [Row(NAME, BAR, same_round(grown["ours"], grown["repeated"]), note=f"{told}.")]


def _in_process_of_its_own(form: str, quick: bool) -> int:
    folder = str(Path(__file__).parent)
    code = (
        f"import sys; sys.path.insert(0, {folder!r}); import peak_memory; print(peak_memory.growth({form!r}, {quick}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    return int(done.stdout)


def growth(form: str, quick: bool) -> int:
    """Bytes by which this process's peak exceeds what it held before its first step of a form; at least 1."""
    torch.set_num_threads(1)
    batch_size, width = (4, 16) if quick else (16, 64)
    step = training_step(FORMS[form], CLASSES, batch_size, width, torch.device("cpu"))
    RESET.write_text("5", encoding="ascii")  # the peak is what is held now
    before = kilobytes("VmRSS")
    step()
    return max(1, 1024 * (kilobytes("VmHWM") - before))


def kilobytes(field: str) -> int:
    lines = STATUS.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


if __name__ == "__main__":
    command(rows)
