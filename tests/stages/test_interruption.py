"""Laws of interruption: a stage that is ended at any change of a file leaves its old output or its new one, and run again it makes
the same bytes and leaves nothing else.
"""

import io
import resource
import shutil
import sys
from pathlib import Path

import artifacts
import faults
import pytest
from rank_work import CELL, OVERRIDES, PARAMS_FILE, UNET

from pag.base.errors import InputError
from pag.base.files import recover
from stages import evaluate, heuristic_targets, prepare, score_targets, train, train_diffusion
from stages.params.reading import Params
from stages.paths import TIMES, DatasetPaths
from stages.run import CHECKPOINTS, stage_run

PATHS = DatasetPaths("digits")
TINY = (
    *OVERRIDES,
    "params/digits.yaml:targets.score_based.dtype=int8",
    "params/digits.yaml:targets.score_based.shard_size=10",
    "params/digits.yaml:data.images_per_class={train: 5, test: 1}",
    "params/digits.yaml:training.epochs=2",
    "params/digits.yaml:training.batch_size=10",
    "params/digits.yaml:training.validation_attack.steps=1",
)
STAGES = {
    "prepare": (lambda params: prepare.run(params, "digits"), [PATHS.images]),
    "heuristic_targets": (lambda params: heuristic_targets.run(params, "digits", "class_mean"), [PATHS.targets("class_mean")]),
    "score_targets": (
        lambda params: score_targets.run(params, "digits", "train"), [PATHS.targets("score_based"), PATHS.target_examples],
    ),
    "train": (lambda params: train.run(params, CELL), [CELL.classifier]),
    "evaluate": (lambda params: evaluate.run(params, CELL, 1), [CELL.evaluation]),
}  # fmt: skip


@pytest.fixture(scope="module")
def params():
    return Params(PARAMS_FILE, TINY)


@pytest.fixture(scope="module")
def made(params, tmp_path_factory):
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        few = Params(PARAMS_FILE, ["grid.lambdas=[]", "grid.baselines=[vanilla]"])
        artifacts.write_all(few, "digits", "resnet8")
        artifacts.write_networks(few, CELL, UNET)
        score_targets.run(params, "digits", "test")
    return root


def _files(path):
    if path.is_file():
        return path.read_bytes()
    return {p.relative_to(path): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def _everything():
    files = _files(Path())
    del files[TIMES]
    return files


@pytest.fixture
def here(made, tmp_path, monkeypatch):
    """The working directory, a copy of what was made."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")


@pytest.mark.parametrize("some", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_was_ended_anywhere_makes_the_same_bytes_again(params, here, stage, some):
    run, outputs = STAGES[stage]
    old = [_files(path) if path.exists() else None for path in outputs]
    count = faults.changes(lambda: run(params))
    new, whole = [_files(path) for path in outputs], _everything()
    # the nearer to the end, the more: most of it is finishing
    numbers = [count - 3**k for k in range(4) if 3**k <= count] if some else range(count)
    for number in numbers:
        for torn in (number % 2 == 0,) if some else (False, True):
            faults.killed_at(lambda: run(params), number, torn)
            for path, *versions in zip(outputs, old, new, strict=True):
                recover(path)
                assert (_files(path) if path.exists() else None) in versions
            run(params)
            assert _everything() == whole, (number, torn)
    assert not any(CHECKPOINTS.iterdir())


def test_outputs_on_another_disk_than_checkpoints_are_the_same(params, here, monkeypatch):
    run, _ = STAGES["score_targets"]
    run(params)
    whole = _everything()
    faults.two_disks(monkeypatch, "data")
    run(params)
    assert _everything() == whole
    assert not any(CHECKPOINTS.iterdir())


@pytest.fixture
def full_disk(monkeypatch):
    """Lets no file become longer than some bytes, by whatever library it is written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # pytest's is a file, too
    yield lambda count: resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("room", ["none", "nearly enough"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_told_with_the_output_and_outputs_stay(params, here, full_disk, stage, room):
    run, outputs = STAGES[stage]
    run(params)
    old = [_files(path) for path in outputs]
    largest = max(path.stat().st_size for output in outputs for path in (output, *output.rglob("*")) if path.is_file())
    full_disk(100 if room == "none" else largest - 1)
    with pytest.raises(OSError, match="File too large") as error:
        run(params)
    assert str(error.value.filename).startswith(("data/digits/", ".checkpoints/"))
    assert [_files(path) for path in outputs] == old


@pytest.mark.parametrize(
    ("stage", "key"),
    [
        (lambda params: train_diffusion.run(params, "digits"), "diffusion.batch_size"),
        (lambda params: score_targets.run(params, "digits", "train"), "targets.score_based.shard_size"),
    ],
    ids=["train_diffusion", "score_targets"],
)
def test_what_no_memory_holds_is_told_before_the_work(here, stage, key):
    absurd = Params(PARAMS_FILE, [*TINY, f"params/digits.yaml:{key}={10**14}"])
    with pytest.raises(InputError, match=f"of memory are needed, .* lower {key}"):
        stage(absurd)
    assert not any(CHECKPOINTS.iterdir())


def test_a_second_run_is_told_that_the_first_is_at_work(here):
    output = PATHS.images
    first, second = (stage_run("prepare", cell, outputs=[output]) for cell in ("digits", "the same"))
    with first, pytest.raises(InputError, match=r"images\.zarr is being made by process \d+"), second:
        pytest.fail("Two runs write one output.")
    first, second = (stage_run("commands/evaluate_checkpoint", outputs=[Path(name)]) for name in "ab")
    with first, pytest.raises(InputError, match="is being made by process"), second:
        pytest.fail("Two runs have one folder of checkpoints.")
    assert not any(CHECKPOINTS.iterdir())
