"""Laws of several ranks, by processes that torchrun starts on the CPU: targets and evaluations have the same bytes for 1, 2 and 3,
trainings the same weights up to the order of sums, and an error of one rank ends all with one sentence.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import artifacts
import pytest
import torch
from rank_work import CELL, PARAMS_FILE, UNET
from typer.testing import CliRunner

from pag.base.errors import InputError
from pag.machine import ranks
from stages import prepare
from stages.cli import app
from stages.params.reading import Params
from stages.paths import TIMES

WORK = Path(__file__).parents[1] / "helpers/rank_work.py"
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
NAMES = ("vanilla", "aligned", "adversarial", "aligned trades", "aligned margin", "random margin aligned", "diffusion")
FAILING = """
import types
from stages.cli import running

def run(params, cell):
    from pag.base.errors import InputError
    from pag.machine.ranks import barrier, rank
    if rank() == 1:
        raise InputError("Rank 1 has failed.")
    barrier()

running.import_module = lambda name: types.SimpleNamespace(run=run)
"""


def _run(command, folder, *path):
    """The finished process of a command with this project's code, behind what else is on the path."""
    code = os.pathsep.join(map(str, (*path, PARAMS_FILE.parent, WORK.parent)))
    line, env = [str(part) for part in command], {**os.environ, "PYTHONPATH": code}
    return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Images, a diffusion model and a classifier, each of random weights."""
    root = tmp_path_factory.mktemp("made")
    before = Path.cwd()
    os.chdir(root)
    few = Params(
        PARAMS_FILE,
        ["grid.aligned_margin.methods=[]", "grid.aligned=[]", "grid.lambdas=[]", "grid.baselines=[vanilla]"],
    )
    artifacts.write_all(few, "digits", "resnet8")
    artifacts.write_networks(few, CELL, UNET)
    os.chdir(before)
    return root


def _files(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def folders(made, tmp_path_factory):
    """By number of ranks, the folder where they have worked."""
    folders = {}
    for count in (1, 2, 3):
        folders[count] = tmp_path_factory.mktemp("ranks") / str(count)
        shutil.copytree(made, folders[count])
        (folders[count] / TIMES).unlink()
        launcher = (*TORCHRUN, count) if count > 1 else (sys.executable,)
        done = _run([*launcher, WORK, folders[count]], folders[count])
        assert done.returncode == 0, done.stderr
    return folders


@pytest.mark.parametrize("count", [2, 3])
def test_targets_and_evaluations_have_the_same_bytes_for_any_number_of_ranks(folders, count):
    expected, found = (_files(folders[n] / "data/digits") for n in (1, count))
    assert {
        "targets/3407/score_based.zarr/gradients/c/6/0/0/0/0",
        "targets/3407/nearest_neighbor.zarr/zarr.json",
        "targets/3407/kernel.zarr/gradients/c/2/0/0/0/0",
        "targets/3407/kernel_neighbors.zarr/neighbors/zarr.json",
        "generated/3407.zarr/images/c/0/0/0/0",
        "generated_targets/3407/score_based.zarr/gradients/c/6/0/0/0/0",
        "generated_targets/3407/nearest_neighbor.zarr/zarr.json",
        "generated_targets/3407/kernel.zarr/gradients/c/0/0/0/0/0",
    } <= found.keys()
    assert found == expected
    stages = (folders[count] / TIMES).read_text(encoding="utf-8").splitlines()
    assert len(stages) == 12
    assert list((folders[count] / ".checkpoints").iterdir()) == []


@pytest.fixture(scope="module")
def trained(folders):
    return {count: torch.load(folder / "trainings.pt", weights_only=True) for count, folder in folders.items()}


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_training_differs_by_the_order_of_sums_alone(trained, name, count):
    (weights, curves), (expected, expected_curves) = trained[count][name], trained[1][name]
    for key, value in expected.items():
        torch.testing.assert_close(weights[key], value, rtol=1e-9, atol=1e-10)
    for row, expected_row in zip(curves, expected_curves, strict=True):
        assert row == pytest.approx(expected_row, rel=1e-9)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_resumed_training_is_the_uninterrupted_one(trained, count):
    (weights, curves), (expected, expected_curves) = trained[count]["resumed"], trained[count]["aligned"]
    assert all(torch.equal(weights[name], value) for name, value in expected.items())
    assert curves == expected_curves


def test_an_error_of_one_rank_ends_all_with_one_sentence(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(FAILING, encoding="utf-8")
    launcher = " ".join((*TORCHRUN, "2", "--no-python"))
    cell = ("--dataset", "digits", "--architecture", "resnet8", "--method", "vanilla")
    options = ("--params", PARAMS_FILE, "--set", f"launcher={launcher}")
    done = _run([sys.executable, "-m", "stages", "train", *cell, *options], tmp_path, tmp_path)
    assert done.returncode != 0
    assert done.stderr.count("Rank 1 has failed.") == done.stderr.count("pag: ") == 1
    assert "RuntimeError" not in done.stderr


def test_a_stage_that_is_not_shared_is_the_first_ranks(monkeypatch):
    ran = []
    monkeypatch.setattr(prepare, "run", lambda params, dataset: ran.append(dataset))
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        assert CliRunner().invoke(app, ["prepare", "--dataset", "digits"]).exit_code == 0
        assert ran == ["digits"] * (rank == "0")


def test_a_launcher_that_cannot_be_run_is_told(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    options = ["--dataset", "digits", "--source", "one_image", "--set", "launcher=no_such_launcher -n 2"]
    with pytest.raises(InputError, match="no_such_launcher -n 2' cannot be run"):
        app(["heuristic-targets", *options], standalone_mode=False)


@pytest.mark.parametrize("total", [1, 2, 4, 7, 12])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shares_make_up_the_batch_and_its_mean(monkeypatch, total, count):
    monkeypatch.setattr(ranks, "size", lambda: count)
    values, parts, means = torch.rand(total, dtype=torch.float64), [], []
    for rank in range(count):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        share = ranks.share(total)
        parts += range(total)[ranks.part(total)]
        means.append(share.weight * values[share.rows].mean())
        assert len(values[share.rows]) > 0
    assert parts == list(range(total))
    torch.testing.assert_close(torch.stack(means).mean(), values.mean())
