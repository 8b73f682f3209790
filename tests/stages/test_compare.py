"""Laws of `pag compare`: it finds what a name means, pairs what can be paired and says which, and sees no difference in one."""

import json
import shutil
import subprocess
from pathlib import Path

import artifacts
import numpy as np
import pytest
import yaml
from dvc.repo import Repo
from typer.testing import CliRunner

from pag.base.errors import InputError
from pag.evaluation.seeds import paired_difference
from stages.cli import app
from stages.commands.differences import differences
from stages.commands.runs import of_revision, run_here
from stages.params.reading import Params
from stages.paths import Cell
from stages.reporting.methods import paired

PARAMS_FILE = Path("params.yaml").absolute()
FEW = ["grid.lambdas=[0.5]", "grid.baselines=[vanilla,at_l2]", "grid.aligned=[score_based]", "grid.seeds=[3407, 1]"]
FEW += ["grid.aligned_margin.methods=[]", "grid.targets_seeds=[3407]"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder where a grid is evaluated."""
    monkeypatch.chdir(tmp_path)
    artifacts.write_all(Params(PARAMS_FILE, FEW), "digits", "resnet8")


def compare(*names):
    set_ = [part for override in FEW for part in ("--set", override)]
    result = CliRunner().invoke(app, ["compare", *names, *set_, "--params", str(PARAMS_FILE)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.stdout


def keep(name, change=lambda metrics: metrics):
    cells = [
        change(json.loads(path.read_text(encoding="utf-8")))
        for path in Path("data").glob("*/evaluations/*/*/metrics.json")
    ]
    cells = [cell for cell in cells if cell["lambda"] != 0.5]
    kept = {"hardware": "a machine", "commit": "0123456", "times": {}, "params": {}, "cells": cells}
    Path("results").mkdir(exist_ok=True)
    Path(f"results/{name}.json").write_text(json.dumps(kept), encoding="utf-8")


def test_cells_are_compared_image_by_image_over_their_seeds(here):
    text = compare("score_based", "vanilla")
    assert "paired, 2 runs × 120 images" in text
    assert "SBG is above Vanilla in AA" in text
    sides = run_here().sides
    found = {of.measure: of for of in differences(sides["digits/resnet8-score_based"], sides["digits/resnet8-vanilla"])}
    a, b = (_stacked(method, targets) for method, targets in (("score_based", 3407), ("vanilla", None)))
    assert found["autoattack.l2"].difference == paired_difference(a, b)
    assert found["autoattack.l2"].sign == 1


def test_of_seeds_that_only_one_has_the_numbers_are_left_out(here):
    """What is shown is what is compared: the columns, their difference and its interval are of the same runs."""
    a, b = (_stacked(method, targets)[:1] for method, targets in (("score_based", 3407), ("vanilla", None)))
    shutil.rmtree(Cell("digits", "resnet8", "vanilla", 1).evaluation)
    sides = run_here().sides
    found = {of.measure: of for of in differences(sides["digits/resnet8-score_based"], sides["digits/resnet8-vanilla"])}
    of = found["autoattack.l2"]
    assert (of.a, of.b) == (a.mean(), b.mean())
    assert of.difference == paired_difference(a, b)
    assert of.how == "paired, 120 images, over the seeds both have"


def test_of_a_grid_that_is_not_whole_the_seeds_that_are_whole_count():
    a = {(s, t): np.full(3, 10 * s + t) for s in (1, 2) for t in (7, 8)}
    b = {(s, None): np.full(3, s) for s in (1, 2)}
    del a[2, 8]
    for pairs in (paired(a, b), tuple(reversed(paired(b, a)))):
        assert [of[..., 0].tolist() for of in pairs] == [[[17, 18]], [[1, 1]]]
    del a[1, 7]
    assert paired(a, b) is None


def _stacked(method, targets_seed):
    cells = [Cell("digits", "resnet8", method, seed, targets_seed) for seed in (3407, 1)]
    values = [json.loads((cell.evaluation / "metrics.json").read_text())["autoattack"]["l2"]["value"] for cell in cells]
    return np.array([[np.arange(120) < round(value * 120)] for value in values])


def test_a_cell_is_found_by_its_method_its_name_or_its_place(here):
    for name in ("at_l2", "resnet8-at_l2", "digits/resnet8-at_l2"):
        assert compare(name, "vanilla") == compare("at_l2", "vanilla")
    assert "λ = 0.5" in compare("score_based-lambda-0.5", "score_based")


def test_what_is_compared_with_itself_does_not_differ(here):
    text = compare("here", "here")
    assert "0 of 16 numbers differ by more than chance, 16 are identical" in text
    for of in differences(*[run_here().sides["digits/resnet8-vanilla"]] * 2):
        assert of.difference.value == 0
        assert of.sign == 0


def test_differences_of_swapped_sides_mirror_each_other(here):
    sides = run_here().sides
    a, b = sides["digits/resnet8-at_l2"], sides["digits/resnet8-vanilla"]
    for one, other in zip(differences(a, b), differences(b, a), strict=True):
        assert one.difference.value == -other.difference.value
        assert one.difference.interval == pytest.approx([-end for end in reversed(other.difference.interval)])


def test_a_kept_run_is_compared_without_pairs_and_says_so(here):
    keep("other")
    text = compare("here", "other")
    assert "unpaired: per-image results were not kept" in text
    assert "only here has digits/resnet8-score_based-lambda-0.5" in text
    assert "0 of 12 numbers differ" in text


def test_numbers_under_another_eps_are_not_compared(here):
    def larger(metrics):
        metrics["autoattack"]["l2"]["eps"] = 5.0
        return metrics

    keep("other", larger)
    assert "0 of 9 numbers differ" in compare("here", "other")


def test_evaluations_on_other_images_are_not_paired(here):
    """Those of the same data set before it was split anew, say."""
    for path in Path("data/digits/evaluations").glob("*/*/metrics.json"):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["images"] = "a" if "vanilla" in path.parts[-3] else "b"
        path.write_text(json.dumps(metrics), encoding="utf-8")
    assert "unpaired: different images" in compare("score_based", "vanilla")
    assert "paired, 2 runs × 120 images" in compare("score_based", "at_l2")


def test_what_a_check_spoils_is_no_difference(here):
    for path in Path("data/digits/evaluations/resnet8-score_based").glob("*/metrics.json"):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        metrics["sanity"] = {"noise.l2": {"passed": False, "value": 0.5, "bar": 0.0}}
        path.write_text(json.dumps(metrics), encoding="utf-8")
    text = compare("score_based", "vanilla")
    assert "✗ noise.l2" in text
    assert "inconclusive in Clean, AA L₂ and Alignment." in text


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["vanila", "at_l2"], "vanila is not a cell .*closest: vanilla"),
        (["vanilla"], "vanilla is a cell and here is a run"),
        (["", "here"], " is not a cell"),
    ],
)
def test_what_cannot_be_compared_is_told(here, monkeypatch, names, sentence):
    monkeypatch.setattr("stages.commands.compare.of_revision", lambda name: None)
    with pytest.raises(InputError, match=sentence):
        compare(*names)


def test_a_file_of_a_revision_is_no_run(here):
    with pytest.raises(InputError, match="HEAD: is not a cell"):
        compare("HEAD:", "here")


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of what DVC keeps paths in
def test_a_revision_is_read_out_of_the_cache_of_dvc(here):
    cell = Cell("digits", "resnet8", "vanilla", 3407)
    shutil.copytree(cell.evaluation, "saved")
    outs = [str(cell.evaluation / name) for name in ("metrics.json", "outcomes.safetensors")]
    stage = {"cmd": f"mkdir -p {cell.evaluation} && cp saved/* {cell.evaluation}", "outs": outs}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"evaluate": stage}}), encoding="utf-8")
    _git("init", "-q")
    Repo.init().close()
    with Repo() as repo:
        repo.reproduce()
    _git("add", "dvc.yaml", "dvc.lock", ".dvc")
    _git("commit", "-q", "-m", "run")
    shutil.rmtree(cell.evaluation)
    shutil.copytree(Cell("digits", "resnet8", "vanilla", 1).evaluation, cell.evaluation)
    found = of_revision("HEAD")
    assert list(found.sides) == ["digits/resnet8-vanilla"]
    assert found.sides["digits/resnet8-vanilla"].evaluations[0].training_seed == 3407
    assert set(found.sides["digits/resnet8-vanilla"].found) >= {"clean", "autoattack.l2", "autoattack.linf"}
    assert of_revision("nonsense") is None


def _git(*arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", *who, *arguments], check=True)


def test_a_folder_that_is_no_repository_has_no_revisions(here):
    with pytest.raises(InputError, match=r"HEAD: .* is not a git repository"):
        compare("HEAD")


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of what DVC keeps paths in
def test_a_repository_without_commits_has_no_revisions(here):
    _git("init", "-q")
    assert of_revision("HEAD") is None
    with pytest.raises(InputError, match=r"vanlla is not a cell .*; closest: vanilla"):
        compare("vanlla")
