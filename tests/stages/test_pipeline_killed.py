"""The pipeline under DVC, killed at random moments: what comes of it in the end is what comes of it undisturbed."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from test_pipeline import Project

pytestmark = pytest.mark.slow

KILLS = 2
TARGETS = ("score_targets@tiny-3407", "train_baselines@tiny-resnet8-vanilla-3407")


def _kill_midway(project, command, seconds):
    """Starts a command in the project and kills it, with all that it has started."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "true"}
    env.pop("PYTHONPATH", None)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, cwd=project.root, env=env, start_new_session=True, **quiet)
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (project.root / ".dvc/tmp/rwlock").unlink(missing_ok=True)  # DVC writes it in place, and will not read half of it


def _outputs(lock):
    return {name: entry.get("outs") for name, entry in lock.items()}


@pytest.mark.parametrize("command", [("dvc", "repro"), ("dvc", "exp", "run", "--temp")], ids=" ".join)
def test_a_pipeline_that_is_killed_ends_with_the_same_outputs(tmp_path, command):
    project, moments = Project(tmp_path), random.Random(0)
    started = time.monotonic()
    project.run("dvc", "repro", *TARGETS)
    length, whole = time.monotonic() - started, _outputs(project.lock())
    for name in ("data", "dvc.lock", ".checkpoints", ".dvc/cache"):
        project.run("rm", "-rf", name)
    project.run("git", "checkout", "--quiet", ".")
    for _ in range(KILLS):
        _kill_midway(project, (*command, *TARGETS), moments.uniform(0.1, 0.6) * length)
    if "--temp" in command:
        project.run(*command, "--name", "ended", *TARGETS)
        references = project.run("git", "for-each-ref", "--format", "%(refname)", "refs/exps").split()
        ended = next(name for name in references if name.endswith("/ended"))
        lock = yaml.safe_load(project.run("git", "show", f"{ended}:dvc.lock"))["stages"]
    else:
        project.run(*command, *TARGETS)
        lock = project.lock()
    assert _outputs(lock) == whole
