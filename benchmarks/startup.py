"""What one waits for before anything happens: `dvc repro` with nothing to do, `import pag`, `pag --help`; each in a fresh process.

python benchmarks/startup.py [--quick]
"""

import subprocess
import sys
from collections.abc import Sequence

from measuring import ROOT, Bar, Row, Step, command, timed

PYTHON = {
    "import pag": "import pag",
    "pag --help": "import sys; sys.argv = ['pag', '--help']; from stages.cli import main; main()",
}
DVC = (sys.executable, "-m", "dvc")
DVC_NAME, DVC_BAR, PYTHON_BAR = "dvc repro with nothing to do", Bar(at_most=5.0), Bar(at_most=1.0)


def rows(quick: bool) -> list[Row]:
    """A row for each command."""
    repeats = 1 if quick else 7
    steps = {name: _command([sys.executable, "-c", code]) for name, code in PYTHON.items()}
    seconds = timed(steps, repeats, "imports", warm_up=0 if quick else 1)
    return [_repro(quick), *(Row(name, PYTHON_BAR, values, unit="s") for name, values in seconds.items())]


def _command(arguments: Sequence[str]) -> Step:
    return lambda: subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True)


def _repro(quick: bool) -> Row:
    """Only where `dvc status` says that nothing would run: a benchmark starts no pipeline."""
    if quick:
        return Row(DVC_NAME, DVC_BAR, skipped="Not part of the quick size.")
    status = subprocess.run([*DVC, "status", "--quiet"], cwd=ROOT, check=False, capture_output=True)
    if status.returncode != 0:
        return Row(DVC_NAME, DVC_BAR, skipped="This tree has stages to run (dvc status); `make repro` first.")
    seconds = timed({"dvc repro": _command([*DVC, "repro"])}, 3, "dvc repro", warm_up=0)
    return Row(DVC_NAME, DVC_BAR, seconds["dvc repro"], unit="s")


if __name__ == "__main__":
    command(rows)
