"""Laws of `pag status`: every cell of the grid is told as it is, by DVC, by locks and by what is there; it makes nothing."""

import json
import shutil
from pathlib import Path

import artifacts
import pytest
import yaml
from dvc.repo import Repo
from typer.testing import CliRunner

from pag.machine.locks import locked
from stages.cli import app
from stages.commands import pipeline
from stages.commands.artifacts import Artifact
from stages.commands.estimates import Estimates
from stages.params.reading import Params
from stages.paths import TIMES, Cell

PARAMS_FILE = Path("params.yaml").absolute()
FEW = ["grid.lambdas=[]", "grid.baselines=[vanilla,at_l2]", "grid.aligned=[kernel]", "grid.aligned_margin.methods=[]"]
SET = [part for override in FEW for part in ("--set", override)]
VANILLA, AT = (Cell("digits", "resnet8", method, artifacts.SEED) for method in ("vanilla", "at_l2"))
KERNEL = Cell("digits", "resnet8", "kernel", artifacts.SEED, artifacts.SEED)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A folder where the whole grid is done."""
    monkeypatch.chdir(tmp_path)
    artifacts.write_all(Params(PARAMS_FILE, FEW), "digits", "resnet8")
    TIMES.write_text("", encoding="utf-8")


def told(*options):
    result = CliRunner().invoke(app, ["status", "--no-dvc", *SET, *options, "--params", str(PARAMS_FILE)])
    assert result.exit_code == 0, result.output
    return result.stdout


def cells():
    return {cell["method"]: cell for cell in json.loads(told("--json"))["cells"]}


def log(*entries):
    lines = [json.dumps({"stage": name, "seconds": seconds}) for name, seconds in entries]
    TIMES.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_a_grid_that_is_done_is_told_with_its_numbers(made):
    found = cells()
    assert list(found) == ["vanilla", "kernel", "at_l2"]
    for cell in found.values():
        assert cell["trained"]["state"] == cell["evaluated"]["state"] == "done"
        assert {"clean", "autoattack.l2", "autoattack.linf", "alignment"} == set(cell["measures"])
    table = told()
    assert "AT L₂" in table
    assert "95.0%" in table


def test_what_is_missing_begun_or_being_made_is_told(made):
    shutil.rmtree(VANILLA.classifier)
    shutil.rmtree(AT.evaluation)
    shutil.rmtree(KERNEL.evaluation)
    Path(f".checkpoints/evaluate@{AT.name}-{'0' * 16}").mkdir(parents=True)
    with locked(KERNEL.evaluation):
        found = cells()
    assert found["vanilla"]["trained"]["state"] == "missing"
    assert found["at_l2"]["evaluated"]["state"] == "interrupted"
    assert found["kernel"]["evaluated"]["state"] == "running"
    assert found["kernel"]["trained"]["state"] == "done"
    assert not VANILLA.classifier.exists()


def test_what_is_left_is_counted_and_timed_by_former_work(made):
    log((f"evaluate@{VANILLA.name}", 30), (f"evaluate@{KERNEL.name}", 50))
    shutil.rmtree(VANILLA.classifier)
    shutil.rmtree(AT.evaluation)
    found = cells()
    assert found["vanilla"]["trained"]["forwards"] > 0
    assert found["vanilla"]["trained"]["seconds"] is None
    assert found["at_l2"]["evaluated"]["seconds"] == 40
    assert "about 40 s left, judging by earlier runs (8 unknown)" in told()


def test_times_of_other_seeds_and_passes_of_other_methods_make_an_estimate():
    seconds = {"train@digits-resnet8-at_l2-3407": 28.0, "train@digits-resnet8-vanilla-3407": 8.0}
    estimates = Estimates(seconds, {"train@digits-resnet8-vanilla-3407": 1000.0})
    of = {m: Cell("digits", "resnet8", m, 1) for m in ("at_l2", "at_linf")}
    work = {m: Artifact("train", cell.name, cell.classifier) for m, cell in of.items()}
    assert estimates.of_training(of["at_l2"], work["at_l2"], 5000.0) == 28.0
    assert estimates.of_training(of["at_linf"], work["at_linf"], 5000.0) == 40.0
    assert estimates.of_training(of["at_linf"], work["at_linf"], None) is None


def test_a_number_that_a_check_spoils_is_marked(made):
    file = VANILLA.evaluation / "metrics.json"
    metrics = json.loads(file.read_text(encoding="utf-8"))
    metrics["sanity"] = {"noise.l2": {"passed": False, "value": 0.5, "bar": 0.0}}
    file.write_text(json.dumps(metrics), encoding="utf-8")
    table = told()
    assert "✗ 5.0%" in table
    assert "its evaluation failed noise.l2" in table


def test_a_number_under_another_eps_than_its_column_says_so(made):
    file = AT.evaluation / "metrics.json"
    metrics = json.loads(file.read_text(encoding="utf-8"))
    assert "ε =" not in told()
    metrics["autoattack"]["l2"]["eps"] = 0.5
    file.write_text(json.dumps(metrics), encoding="utf-8")
    (row,) = (line for line in told().splitlines() if "ε =" in line)
    assert "AT L₂" in row
    assert "(L₂, ε = 0.5)" in row


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A pipeline of one stage, which has been run."""
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True).close()
    Path("params.yaml").write_text("a: 1\n", encoding="utf-8")
    stage = {"cmd": "mkdir -p data && cp params.yaml data/out", "params": ["a"], "outs": ["data/out"]}
    Path("dvc.yaml").write_text(yaml.safe_dump({"stages": {"copy": stage}}), encoding="utf-8")
    with Repo() as repo:
        repo.reproduce()


@pytest.mark.filterwarnings("ignore:_NoneStep.value:DeprecationWarning")  # of what DVC keeps paths in
def test_what_dvc_would_make_again_is_stale_and_says_why(repository):
    assert pipeline.changes() == {}
    Path("params.yaml").write_text("a: 2\n", encoding="utf-8")
    assert pipeline.changes() == {Path("data/out"): ("params.yaml a modified",)}


def test_where_dvc_cannot_tell_a_note_says_so(made):
    result = CliRunner().invoke(app, ["status", *SET, "--params", str(PARAMS_FILE)])
    assert result.exit_code == 0
    assert "DVC cannot say what has changed" in result.stdout
