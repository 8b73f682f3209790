"""The default pipeline, end to end at a tiny size, through DVC itself."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

pytestmark = pytest.mark.pipeline

TINY = {
    "grid.baselines": ["vanilla", "at_l2"],
    "grid.heuristics": ["class_mean"],
    "grid.aligned": ["class_mean", "score_based"],
    "grid.lambdas": [0.5],
    "datasets.digits.diffusion.steps": 3,
    "datasets.digits.diffusion.batch_size": 16,
    "datasets.digits.diffusion.samples": {"per_class": 1, "steps": 2},
    "datasets.digits.training.epochs": 1,
    "datasets.digits.training.batch_size": 256,
    # so large that the first attack fools every example: the later ones cost nothing
    "datasets.digits.evaluation.threats.l2.eps": 8.0,
    "datasets.digits.evaluation.threats.linf.eps": 1.0,
    "datasets.digits.evaluation.examples": 12,
    "datasets.digits.evaluation.block_size": 6,
    "datasets.digits.evaluation.alignment.draws": 1,
    "datasets.digits.evaluation.targeted.steps": 2,
    "toy.pairs": 2,
    "toy.epochs": 1,
    "toy.data": {"train": 60, "test": 60},
}


def _tiny_params():
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    for key, value in TINY.items():
        *parents, leaf = key.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        section[leaf] = value
    return yaml.safe_dump(params, sort_keys=False)


class Project:
    """A copy of the project in a folder of its own, with its own git and DVC repositories."""

    def __init__(self, root):
        self.root = root
        for name in ("pag", "stages", "results"):
            shutil.copytree(name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("dvc.yaml", ".dvcignore", ".gitignore"):
            shutil.copy(name, root / name)
        (root / "params.yaml").write_text(_tiny_params(), encoding="utf-8")
        self.run("git", "init", "--quiet")
        self.run("dvc", "init", "--quiet")
        self.commit()

    def run(self, *command):
        """Runs a command of this environment in the project; its output, or the test fails with it."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        identity = {
            f"GIT_{who}_{what}": "test@pag.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        env = {**os.environ, **identity, "PATH": path, "PYTHONPATH": str(self.root), "DVC_NO_ANALYTICS": "true"}
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def commit(self):
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "state")

    def stages_run(self, *command):
        lines = self.run(*command).splitlines()
        return {line.split("'")[1] for line in lines if line.startswith("Running stage")}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("project"))
    project.first = project.stages_run("dvc", "repro")
    project.commit()
    return project


def test_every_stage_runs_once_and_a_second_run_nothing(project):
    assert len(project.first) == len(project.run("dvc", "stage", "list", "--name-only").split())
    assert project.stages_run("dvc", "repro") == set()


def test_results_are_complete_and_plausible(project):
    data = project.root / "data"
    cells = sorted(path.name for path in (data / "digits/evaluations").iterdir() if path.is_dir())
    assert cells == [
        f"resnet8-{name}" for name in ("at_l2", "class_mean", "score_based", "score_based-lambda-0.5", "vanilla")
    ]
    for cell in cells:
        folder = data / "digits/evaluations" / cell
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        outcomes = load_file(folder / "outcomes.safetensors")
        assert metrics["clean"]["value"] == pytest.approx(outcomes["clean"].double().mean().item())
        for name, threat in metrics["autoattack"].items():
            robust = outcomes[f"{name}.square"]
            assert threat["n"] == len(robust) == 12
            assert threat["value"] == threat["attacks"]["square"] == pytest.approx(robust.double().mean().item())
            assert not (robust & ~outcomes["clean"][:12]).any()
        assert -1 <= metrics["alignment"]["value"] <= 1
        assert metrics["clean"]["n"] == 360
    page = (data / "report/index.html").read_text(encoding="utf-8")
    assert "SBG" in page
    assert "75.5" in page


def test_changed_lambda_reruns_one_classifier_and_what_shows_it(project):
    ran = project.stages_run("dvc", "exp", "run", "--set-param", "lambda.digits.resnet8.score_based=1.25")
    cell = "aligned@digits-resnet8-score_based"
    assert ran == {f"train_{cell}", f"evaluate_{cell}", "visualize@digits-resnet8", "report"}
    evaluation = project.root / "data/digits/evaluations/resnet8-score_based/metrics.json"
    assert json.loads(evaluation.read_text(encoding="utf-8"))["lambda"] == 1.25


def test_smaller_grid_trains_nothing(project):
    ran = project.stages_run("dvc", "exp", "run", "--set-param", "grid.aligned=[score_based]")
    assert not [name for name in ran if name.startswith(("prepare", "train", "score"))]


def test_metrics_and_plots_are_shown(project):
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))
    text = json.dumps(shown)
    assert "resnet8-vanilla" in text
    assert "autoattack" in text
    assert "results.csv" in project.run("dvc", "plots", "show", "--json")


def test_imported_model_takes_the_place_of_a_trained_one(project):
    state = load_file(project.root / "data/digits/diffusion/model.safetensors")
    torch.save({name: value + 0.01 for name, value in state.items()}, project.root / "ema.pt")
    project.run("pag", "import", "diffusion", "--dataset", "digits", "--file", "ema.pt")
    project.run("dvc", "commit", "--force", "train_diffusion@digits")
    assert project.stages_run("dvc", "repro", "score_targets@digits") == {"score_targets@digits"}
