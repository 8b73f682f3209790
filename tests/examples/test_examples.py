"""Every example runs, as a script in a process of its own, with small sizes; and says that its numbers mean nothing then."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def run(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *arguments, "--quick"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(tmp_path, name):
    output = run(tmp_path, "-W", "error", str(ROOT / "examples" / name))
    assert "these numbers mean nothing" in output
    if name == "walk.py":
        page = (tmp_path / "walk.html").read_text(encoding="utf-8")
        assert "these numbers mean nothing" in page
        assert len(page) > 20_000  # with its figure


def test_two_processes_train_the_same_network(tmp_path):
    output = run(tmp_path, *TORCHRUN, str(ROOT / "examples" / "mixed_precision_ddp.py"))
    assert len(re.findall(r"rank [01]: cosine 0\.\d+, weights of rank 0: True", output)) == 2


def test_every_example_has_its_line():
    lines = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^- \[(\w+\.py)\]\(\1\): .+", lines, re.MULTILINE)) == EXAMPLES
