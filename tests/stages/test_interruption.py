"""Laws of interruption: a stage that is ended at any change of a file leaves its old output or its new one, and run again it makes
the same bytes and leaves nothing else.
"""

import io
import os
import random
import resource
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import faults
import psutil
import pytest
from rank_work import PARAMS_FILE, SEED
from tiny_stages import LONG, OUTPUTS, TINY, files, run_stage, write_inputs

from pag.base.errors import InputError
from pag.base.files import discard, recover
from stages import score_targets, train_diffusion
from stages.params.reading import Params
from stages.paths import CHECKPOINTS, TIMES, DatasetPaths
from stages.run import stage_run

WORK = Path(__file__).parents[1] / "helpers/tiny_stages.py"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_inputs()
    return root


def _files(path):
    if path.is_file():
        return path.read_bytes()
    return {p.relative_to(path): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """The working directory, a copy of what was made."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")


def _is_of(path, output):
    """Whether a path is an output, in it, beside it with a name of its own, or a folder that it is in."""
    hidden = path.is_relative_to(output.parent) and str(path.relative_to(output.parent)).startswith(f".{output.name}.")
    return hidden or path.is_relative_to(output) or output.is_relative_to(path)


@pytest.mark.parametrize("stage", OUTPUTS)
def test_a_stage_changes_its_outputs_and_nothing_else(here, stage):
    changed = [path for path in map(Path, faults.changes(partial(run_stage, stage))) if path.name != str(path)]
    assert [p for p in changed if not any(_is_of(p, output) for output in (*OUTPUTS[stage], CHECKPOINTS, TIMES))] == []


@pytest.mark.parametrize(
    ("stage", "some"),
    [
        *((stage, True) for stage in ("prepare", "heuristic_targets", "score_targets", "train")),
        *(pytest.param(stage, False, marks=pytest.mark.slow) for stage in OUTPUTS),
    ],
)
def test_a_stage_that_was_ended_anywhere_makes_the_same_bytes_again(here, stage, some):
    run, outputs = partial(run_stage, stage), OUTPUTS[stage]
    old = [_files(path) if path.exists() else None for path in outputs]
    count = len(faults.changes(run))
    new, whole = [_files(path) for path in outputs], files()
    # the nearer to the end, the more: most of it is finishing
    numbers = [count - 3**k for k in range(3)] if some else range(count)
    for number in numbers:
        for torn in (number % 2 == 0,) if some else (False, True):
            faults.killed_at(run, number, torn)
            for path, *versions in zip(outputs, old, new, strict=True):
                recover(path)
                assert (_files(path) if path.exists() else None) in versions
            run()
            assert files() == whole, (number, torn)
    assert not any(CHECKPOINTS.iterdir())


def test_outputs_on_another_disk_than_checkpoints_are_the_same(here, monkeypatch):
    run = partial(run_stage, "score_targets")
    run()
    whole = files()
    faults.two_disks(monkeypatch, "data")
    run()
    assert files() == whole
    assert not any(CHECKPOINTS.iterdir())


@pytest.fixture
def full_disk(monkeypatch):
    """Lets no file become longer than some bytes, by whatever library it is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # pytest's is a file, too
    yield lambda count: resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", [pytest.param("none", marks=pytest.mark.slow), "nearly enough"])
@pytest.mark.parametrize("stage", OUTPUTS)
def test_a_full_disk_is_told_with_the_output_and_outputs_stay(here, full_disk, stage, room):
    run, outputs = partial(run_stage, stage), OUTPUTS[stage]
    run()
    old = [_files(path) for path in outputs]
    largest = max(path.stat().st_size for output in outputs for path in (output, *output.rglob("*")) if path.is_file())
    full_disk(100 if room == "none" else largest - 1)
    with pytest.raises(OSError, match="File too large") as error:
        run()
    assert error.value.filename.startswith(("data/digits/", ".checkpoints/"))
    assert ".partial" not in error.value.filename
    assert [_files(path) for path in outputs] == old


@pytest.mark.parametrize(
    ("stage", "key"),
    [
        (lambda params: train_diffusion.run(params, "digits", SEED), "diffusion.batch_size"),
        (lambda params: score_targets.run(params, "digits", "train", SEED), "targets.score_based.shard_size"),
    ],
    ids=["train_diffusion", "score_targets"],
)
def test_what_no_memory_holds_is_told_before_the_work(here, monkeypatch, stage, key):
    memory = type("Memory", (), {"available": 10**7})
    monkeypatch.setattr("pag.machine.capacity.psutil.virtual_memory", lambda: memory)
    absurd = Params(PARAMS_FILE, [*TINY, f"params/digits.yaml:{key}={2**20}"])
    with pytest.raises(InputError, match=f"of memory are needed, .* lower {key}"):
        stage(absurd)
    assert not any(CHECKPOINTS.iterdir())


def test_a_second_run_is_told_that_the_first_is_at_work(here):
    output = DatasetPaths("digits").images
    first, second = (stage_run("prepare", cell, outputs=[output]) for cell in ("digits", "the same"))
    with first, pytest.raises(InputError, match=r"images\.zarr is being made by process \d+"), second:
        pytest.fail("Two runs write one output.")
    first, second = (stage_run("commands/evaluate_checkpoint", outputs=[Path(name)]) for name in "ab")
    with first, pytest.raises(InputError, match="is being made by process"), second:
        pytest.fail("Two runs have one folder of checkpoints.")
    assert not any(CHECKPOINTS.iterdir())


TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")


def _environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (PARAMS_FILE.parent, WORK.parent)))}


def _work(*arguments):
    """The process of `tiny_stages.py` in the working directory."""
    command = [sys.executable, WORK, *map(str, arguments)]
    return subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("kills", "seed"), [(1, 0), *(pytest.param(8, seed, marks=pytest.mark.slow) for seed in (1, 2, 3))]
)
def test_stages_that_are_killed_at_random_moments_make_the_same_bytes_again(here, kills, seed):
    done = _work("killed", kills, seed, *LONG)
    assert done.returncode == 0, done.stderr
    assert not any(CHECKPOINTS.iterdir())


def _kill_all(process):
    """With the processes that it has started: those of torchrun are not of its group."""
    with suppress(psutil.NoSuchProcess):
        for one in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
            with suppress(psutil.NoSuchProcess):
                one.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("stage", LONG)
def test_two_ranks_that_are_killed_make_the_same_bytes_again(here, stage):
    command = (*TORCHRUN, "2", str(WORK), stage)
    started = time.monotonic()
    subprocess.run(command, env=_environment(), capture_output=True, check=True)
    length, whole, moments = time.monotonic() - started, files(), random.Random(stage)
    for path in OUTPUTS[stage]:
        discard(path)
    for _ in range(3):
        process = subprocess.Popen(command, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        time.sleep(moments.uniform(length / 3, length))
        _kill_all(process)
    subprocess.run(command, env=_environment(), capture_output=True, check=True)
    assert files() == whole
