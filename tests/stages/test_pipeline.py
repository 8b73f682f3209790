"""The pipeline, end to end at a tiny size, through DVC itself: digits as a folder of pictures, a data set of one's own."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from stages.code import STAGES
from stages.digests import ROOT, sources

pytestmark = pytest.mark.pipeline

HELPERS = Path(__file__).parents[1] / "helpers"
COPIED = ("pag", "stages", "extensions", "results", "downloads", "params", "dvc.yaml", ".dvcignore", ".gitignore")
GRID = {
    "datasets": ["tiny"], "architectures": ["resnet8"], "baselines": ["vanilla"], "heuristics": ["class_mean", "halved"],
    "teachers": {"architecture": "resnet8", "methods": ["vanilla"]},
    "aligned": ["score_based"], "combined": {"bases": ["at_l2"], "targets": ["class_mean"]}, "lambdas": [0.5],
    "aligned_margin": {"methods": ["aligned_margin_l2"], "targets": "class_mean"},
    "generated": {"datasets": ["tiny"], "baselines": [], "aligned": ["score_based"]},
    "seeds": [3407], "targets_seeds": [3407],
}  # fmt: skip
LAMBDAS = {
    "score_based": 2.0,
    "aligned_margin_l2": 1.5,
    "at_l2_with_class_mean": 0.2,
    "score_based_with_generated": 2.0,
}
AT_L2 = {
    "objective": "adversarial", "norm": "l2", "eps": 0.9, "steps": 1, "relative_step": 1.5,
    "alignment": {"targets": "class_mean", "gradient": "log_softmax", "classes_per_step": 1},
}  # fmt: skip
WITH_GENERATED = {
    "objective": "alignment", "targets": "score_based", "gradient": "log_softmax", "classes_per_step": 1,
    "training": {"generated": {"share": 0.3}},
}  # fmt: skip
OWN_TARGETS = """from extensions.targets.prototypes import toward_prototypes


def halved(*arguments):
    gradients = toward_prototypes(*arguments)
    return lambda x, y: gradients(x, y) / 2
"""
OWN = "from torch import nn\n\nclass Own(nn.Module):\n    pass\n"
TRAIN, TEST = 9, 2  # pictures of each class
CELLS = (
    "aligned_margin_l2/3407-3407",
    "at_l2_with_class_mean/3407-3407",
    "score_based-lambda-0.5/3407-3407",
    "score_based/3407-3407",
    "score_based_with_generated/3407-3407",
    "vanilla/3407",
)
WHERE = {"params.yaml": {"data_root", "launcher"}}  # say where work is done, not what comes of it


def _dataset():
    """The parameters of the digits, at a tiny size and read from a folder."""
    params = yaml.safe_load(Path("params/digits.yaml").read_text(encoding="utf-8"))
    params["data"] = {
        "source": "folder", "root": "tiny", "image_size": 8, "grayscale": True, "validation_fraction": 0.2, "split_seed": 0,
    }  # fmt: skip
    params["diffusion"] |= {"steps": 3, "batch_size": 16, "samples": {"per_class": 1, "steps": 2}}
    params["targets"]["class_mean"] |= {"relative_to": "own_class"}
    # enough steps that no network knows one class alone, which no attack fools
    params["training"] |= {"epochs": 4, "batch_size": 16}
    params["methods"]["at_l2_with_class_mean"] = AT_L2
    params["methods"]["score_based_with_generated"] = WITH_GENERATED
    params["generated"] = {"per_class": 2, "steps": 2}
    params["targets"]["teacher_vanilla"] = {"source": "teacher", "dtype": "float16", "shard_size": 64}
    params["methods"]["aligned_margin_l2"]["targets"] = "class_mean"
    params["targets"]["halved"] = {"source": "own", "function": "extensions.targets.halved:halved"}
    params["evaluation"] |= {
        # so large that the first attack fools every example: the later ones cost nothing
        "threats": {"l2": {"norm": "l2", "eps": 8.0}, "linf": {"norm": "linf", "eps": 1.0}},
        "examples": 12, "block_size": 6, "pgd": None,
        "foolbox": {"attacks": {"gaussian_blur": {"eps": 2.0, "steps": 2}}, "examples": 4, "block_size": 4},
    }  # fmt: skip
    params["evaluation"]["alignment"]["draws"] = 1
    params["evaluation"]["targeted"] |= {"steps": 2, "images": 1}
    params["figures"] = {"images": 1, "timesteps": [500]}
    return params


def _main(root):
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["toy"] |= {"pairs": 2, "epochs": 1, "data": {"train": 60, "test": 60}}
    params["lambda"]["tiny"] = {"resnet8": LAMBDAS}
    params["architectures"]["own"] = {"family": "extensions.own:Own"}
    # absolute, since a queued experiment runs in a folder of its own
    return params | {"grid": GRID, "data_root": str(root / "downloads")}


def _write_pictures(root):
    digits = load_digits()
    for c in range(10):
        for i, row in enumerate(np.flatnonzero(digits.target == c)[: TRAIN + TEST]):
            path = root / ("train" if i < TRAIN else "test") / str(c) / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.uint8(digits.images[row] * 255 / 16)).save(path)


class Project:
    """A copy of the project in a folder of its own, with its own git and DVC repositories."""

    def __init__(self, root):
        self.root, self.recorded = root / "project", root / "recorded"
        self.recorded.mkdir()
        self.root.mkdir()
        for name in COPIED:
            copy = shutil.copytree if Path(name).is_dir() else shutil.copy
            copy(
                name,
                self.root / name,
                **({"ignore": shutil.ignore_patterns("__pycache__")} if Path(name).is_dir() else {}),
            )
        (self.root / "params.yaml").write_text(yaml.safe_dump(_main(self.root), sort_keys=False), encoding="utf-8")
        (self.root / "params/tiny.yaml").write_text(yaml.safe_dump(_dataset(), sort_keys=False), encoding="utf-8")
        _write_pictures(self.root / "downloads/tiny")
        self.run("git", "init", "--quiet")
        self.run("dvc", "init", "--quiet")
        shutil.copy(".dvc/config", self.root / ".dvc/config")
        shutil.copytree(".dvc/plots", self.root / ".dvc/plots")
        (self.root / "extensions/own.py").write_text(OWN, encoding="utf-8")
        (self.root / "extensions/targets/halved.py").write_text(OWN_TARGETS, encoding="utf-8")
        self.commit()

    def attempt(self, *command, record=False):
        """Runs a command of this environment in the project, with the code of the folder that it stands in."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        identity = {
            f"GIT_{who}_{what}": "test@pag.invalid" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        env = {**os.environ, **identity, "PATH": path, "DVC_NO_ANALYTICS": "true"}
        for name in ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE"):
            env.pop(name, None)
        if record:
            env |= {"PYTHONPATH": str(HELPERS / "recorder"), "RECORDED_READS": str(self.recorded)}
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)

    def run(self, *command, record=False):
        """The output of a command, or the test fails with it."""
        done = self.attempt(*command, record=record)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def commit(self):
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "state")

    def stages_run(self, *command, record=False):
        lines = self.run(*command, record=record).splitlines()
        return {line.split("'")[1] for line in lines if line.startswith("Running stage")}

    def stale_cells(self):
        """What DVC would run again, themselves and not for what comes before them, after `code` has run."""
        self.run("dvc", "repro", "code")
        return set(json.loads(self.run("dvc", "status", "--json")))

    def stale(self):
        """The same by the names of stages."""
        return {name.partition("@")[0] for name in self.stale_cells()}

    def replace(self, path, old, new):
        text = (self.root / path).read_text(encoding="utf-8")
        assert old in text
        (self.root / path).write_text(text.replace(old, new), encoding="utf-8")

    def restore(self):
        self.run("git", "checkout", "--quiet", ".")
        self.run("dvc", "checkout", "--force", "--quiet")

    def lock(self):
        return yaml.safe_load((self.root / "dvc.lock").read_text(encoding="utf-8"))["stages"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("project"))
    project.first = project.stages_run("dvc", "repro", record=True)
    project.commit()
    return project


@pytest.fixture(scope="module")
def reads(project):
    """By stage of dvc.yaml's cells: what its processes have read; and the cell's entry in dvc.lock."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in project.recorded.glob("*.json")]
    by_command = {}
    for record in records:
        by_command.setdefault(" ".join(record["argv"]), []).append(record)
    cells = []
    for name, entry in project.lock().items():
        command = entry["cmd"].removeprefix("python -m stages ")
        assert by_command[command], command
        merged = {k: {v for r in by_command[command] for v in _hashable(r[k])} for k in ("opened", "keys", "modules")}
        cells.append((name, entry, merged))
    return cells


def _hashable(values):
    return [tuple(value) if isinstance(value, list) else value for value in values]


def _files(project, names):
    """Those in the project that are a stage's business, relative to it."""
    here = {os.path.relpath(name, project.root) for name in names}
    kept = (n for n in here if not n.startswith(("..", ".git", ".dvc", ".checkpoints")) and "__pycache__" not in n)
    return {n for n in kept if (project.root / n).is_file()}


def _relative(project, path):
    """A path of dvc.lock from the project's root; that of the data root is absolute."""
    return os.path.relpath(project.root / path, project.root)


def _within(path, folders):
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def _covered(key, by):
    return any(key == other or key.startswith(f"{other}.") for other in by)


def test_every_stage_runs_once_and_a_second_run_nothing(project):
    assert len(project.first) == len(project.run("dvc", "stage", "list", "--name-only").split())
    assert project.stages_run("dvc", "repro") == set()
    assert project.run("git", "status", "--porcelain") == ""


def test_results_are_complete_and_plausible(project):
    data = project.root / "data"
    evaluations = data / "tiny/evaluations"
    cells = sorted(path.relative_to(evaluations).as_posix() for path in evaluations.glob("*/*") if path.is_dir())
    assert cells == [f"resnet8-{name}" for name in CELLS]
    for cell in cells:
        folder = evaluations / cell
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        outcomes = load_file(folder / "outcomes.safetensors")
        assert metrics["clean"]["value"] == pytest.approx(outcomes["clean"].double().mean().item())
        for name, threat in metrics["autoattack"].items():
            robust = outcomes[f"{name}.square"]
            assert threat["n"] == len(robust) == 12
            assert threat["value"] == threat["attacks"]["square"] == pytest.approx(robust.double().mean().item())
            assert not (robust & ~outcomes["clean"][:12]).any()
        assert -1 <= metrics["alignment"]["value"] <= 1
        assert metrics["clean"]["n"] == 10 * TEST
    page = (data / "report/index.html").read_text(encoding="utf-8")
    assert "SBG" in page
    assert "75.5" in page


def test_every_file_that_a_stage_reads_is_a_dependency(project, reads):
    for name, entry, read in reads:
        known = [_relative(project, d["path"]) for key in ("deps", "outs") for d in entry.get(key, ())]
        if any(path.endswith("/originals.txt") for path in known):  # it stands for the pictures
            known.append("downloads")
        files = {n for n in _files(project, read["opened"]) if not n.endswith(".py")}
        code = {n for n in files if n.startswith(("pag/", "stages/"))}  # data files of the code, below
        params = {n for n in files if n == "params.yaml" or n.startswith("params/")}  # key by key, below
        stray = {n for n in files - code - params if not _within(n, known)}
        assert stray <= {"data/times.jsonl"}, name


def test_no_dependency_is_superfluous(project, reads):
    opened, wanted = {}, {}
    for name, entry, read in reads:
        stage = name.partition("@")[0]
        opened.setdefault(stage, set()).update(os.path.relpath(n, project.root) for n in read["opened"])
        wanted.setdefault(stage, set()).update(_relative(project, d["path"]) for d in entry["deps"])
    for stage, paths in wanted.items():
        # They stand for the code and for the original files, which DVC could not name itself.
        paths = {p for p in paths if not p.startswith("data/code/") and not p.endswith("/originals.txt")}
        unused = {p for p in paths if not any(_within(n, [p]) for n in opened[stage])}
        assert not unused, stage


def _code_of(project, entry):
    listed = [project.root / d["path"] for d in entry.get("deps", ()) if d["path"].startswith("data/code/")]
    return {line.split()[1] for path in listed for line in path.read_text(encoding="utf-8").splitlines()}


def test_code_that_a_stage_runs_is_in_its_digest_and_no_other(project, reads):
    listed, loaded = {}, {}
    for _, entry, read in reads:
        module = entry["cmd"].split()[3]
        if module == "code":
            continue
        loaded.setdefault(module, set()).update(_files(project, read["modules"]))
        data = {
            n for n in _files(project, read["opened"]) if n.startswith(("pag/", "stages/")) and not n.endswith(".py")
        }
        loaded[module] |= data
        listed.setdefault(module, set()).update(_code_of(project, entry))
    # The command line loads what checks all of params; what a stage reads of them is seen by its keys.
    checking = {path.relative_to(ROOT).as_posix() for path in sources(ROOT / "stages/params/check.py")}
    command_line = {path.relative_to(ROOT).as_posix() for path in (ROOT / "stages/cli").glob("*.py")}
    # Functions of one's own are a dependency by their folder.
    own = {path.relative_to(ROOT).as_posix() for path in (ROOT / "extensions/targets").glob("*.py")}
    own |= {"extensions/targets/halved.py"}
    aside = {*own, "stages/__main__.py", "stages/cells.py", "stages/digests.py", *command_line, *checking}
    for module, files in loaded.items():
        assert files - aside <= listed[module], module
        assert listed[module] <= files, module
    assert {module.replace("-", "_") for module in loaded} == set(STAGES)


def test_every_key_that_a_stage_reads_is_tracked_and_none_is_superfluous(reads):
    read_keys, tracked_keys = {}, {}
    for name, entry, read in reads:
        tracked = {(file, key) for file, keys in entry.get("params", {}).items() for key in keys}
        stage = name.partition("@")[0]
        of_files = [d["path"] for d in entry.get("deps", ()) if d["path"].startswith("params")]
        for file, key in read["keys"]:
            if key in WHERE.get(file, ()) or _within(file, of_files):
                continue
            assert _covered(key, [k for f, k in tracked if f == file]), f"{name} reads {file}: {key}"
        read_keys.setdefault(stage, set()).update(read["keys"])
        tracked_keys.setdefault(stage, set()).update(tracked)
    for stage, tracked in tracked_keys.items():
        if stage == "report":  # which prints them all
            continue
        unused = {
            (file, key) for file, key in tracked
            if not any(f == file and (_covered(k, [key]) or _covered(key, [k])) for f, k in read_keys[stage])
        }  # fmt: skip
        assert not unused, stage


TRAINING = {
    "train_baselines", "train_aligned", "train_aligned_margin", "train_combined", "train_lambdas", "train_generated_aligned",
}  # fmt: skip
EVALUATION = {name.replace("train", "evaluate") for name in TRAINING}
CLASSIFIERS = {*TRAINING, *EVALUATION}
EDITS = {
    "a comment and a docstring": ("pag/attacks/pgd.py", '"""Projected', '"""Repeated, projected', set()),
    "a step of PGD": (
        "pag/attacks/pgd.py", "ascent = -self.step_size", "ascent = -1.0 * self.step_size",
        {*CLASSIFIERS, "train_toy", "evaluate_toy"},
    ),
    "which targets a method reads": (
        "stages/params/methods.py", "method.alignment.targets or name", "method.alignment.targets or str(name)",
        {*TRAINING, "visualize", "report"},
    ),
    "a default of SGD": (
        "stages/params/optimizers.py", "momentum: Decay = 0.9", "momentum: Decay = 0.8",
        {
            *TRAINING, "train_diffusion", "score_targets", "test_targets", "generate", "generated_targets", "train_toy",
            "evaluate_toy", "visualize", "report",
        },
    ),
    "double backward": (
        "pag/alignment/double_backward.py", "groups: int = 1", "groups: int = 2 - 1", {*TRAINING, "train_toy"},
    ),
    "a chart": ("pag/figures/vega.py", "WIDTH = 328", "WIDTH = 329", {"visualize", "report"}),
    "another architecture": (
        "params.yaml", "\narchitectures:\n", "\narchitectures:\n  another: {family: vgg, depth: 11, norm: none}\n", {"report"},
    ),
    "an architecture that is not run": ("extensions/own.py", "pass", "depth = 2", set()),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_makes_stale_what_runs_it(project, edit):
    path, old, new, stale = EDITS[edit]
    project.replace(path, old, new)
    try:
        assert project.stale() == stale
    finally:
        project.run("git", "checkout", "--quiet", ".")  # digests in data/ are made anew by whatever runs next


def test_a_picture_that_is_added_is_noticed(project):
    picture = project.root / "downloads/tiny/train/3/more.png"
    shutil.copy(project.root / "downloads/tiny/train/3/1.png", picture)
    try:
        assert project.stages_run("dvc", "repro", "prepare@tiny") == {"originals@tiny", "prepare@tiny"}
    finally:
        picture.unlink()
        project.restore()


def test_changed_lambda_reruns_one_classifier_and_what_shows_it(project):
    ran = project.stages_run("dvc", "exp", "run", "--set-param", "lambda.tiny.resnet8.score_based=1.25")
    cell = "aligned@tiny-resnet8-score_based-3407-3407"
    assert ran == {f"train_{cell}", f"evaluate_{cell}", "visualize@tiny-resnet8", "report"}
    evaluation = project.root / "data/tiny/evaluations/resnet8-score_based/3407-3407/metrics.json"
    assert json.loads(evaluation.read_text(encoding="utf-8"))["lambda"] == 1.25
    project.restore()


def test_a_seed_that_is_added_makes_its_own_cells_stale_and_what_shows_them(project):
    cells = ("baselines@tiny-resnet8-vanilla-1", "aligned@tiny-resnet8-score_based-1-3407",
             "aligned_margin@tiny-resnet8-aligned_margin_l2-1-3407",
             "combined@tiny-resnet8-at_l2-class_mean-1-3407", "lambdas@tiny-resnet8-0.5-1-3407",
             "generated_aligned@tiny-resnet8-score_based-generated-1-3407")  # fmt: skip
    try:
        project.replace("params.yaml", "  seeds:\n  - 3407\n", "  seeds:\n  - 3407\n  - 1\n")
        own = {f"{stage}_{cell}" for stage in ("train", "evaluate") for cell in cells}
        assert project.stale_cells() == {*own, "visualize@tiny-resnet8", "report"}
        ran = project.stages_run("dvc", "repro", "evaluate_baselines@tiny-resnet8-vanilla-1")
        assert ran == {"train_baselines@tiny-resnet8-vanilla-1", "evaluate_baselines@tiny-resnet8-vanilla-1"}
        weights = [
            project.root / f"data/tiny/classifiers/resnet8-vanilla/{seed}/model.safetensors" for seed in (3407, 1)
        ]
        assert weights[0].read_bytes() != weights[1].read_bytes()
    finally:
        project.restore()
        for kind in ("classifiers", "evaluations"):
            shutil.rmtree(project.root / f"data/tiny/{kind}/resnet8-vanilla/1", ignore_errors=True)


def test_a_targets_seed_that_is_added_makes_no_stage_of_the_others_stale(project):
    try:
        project.replace("params.yaml", "  targets_seeds:\n  - 3407\n", "  targets_seeds:\n  - 3407\n  - 1\n")
        project.replace("params.yaml", "methods:\n    - vanilla\n", "methods: []\n")  # a teacher has a seed of training
        stale = project.stale_cells()
        own = {name for name in stale if name.endswith("-1")}
        assert stale - own == {"visualize@tiny-resnet8", "report"}
        assert {"train_diffusion@tiny-1", "score_targets@tiny-1", "train_aligned@tiny-resnet8-score_based-3407-1"} < own
        assert not [name for name in stale if "vanilla" in name or name.startswith("test_targets")]
    finally:
        project.restore()


def test_going_back_from_another_grid_is_clean(project):
    before = project.lock()
    ran = project.stages_run("dvc", "exp", "run", "--set-param", "grid.lambdas=[]")
    assert not [name for name in ran if name.startswith(("prepare", "train", "score", "evaluate"))]
    former = {path.name for path in (project.root / "data/tiny/former").rglob("resnet8-*")}
    assert former == {"resnet8-score_based-lambda-0.5"}
    project.restore()
    project.run("dvc", "repro")
    assert project.lock() == before
    assert project.run("git", "status", "--porcelain") == ""


def test_a_queued_experiment_runs_the_code_that_was_queued(project):
    project.replace("stages/report.py", 'TITLE = "', 'TITLE = "Queued: ')
    project.run("dvc", "exp", "run", "--queue", "--name", "queued")
    project.restore()
    project.run("dvc", "exp", "run", "--run-all")
    references = project.run("git", "for-each-ref", "--format", "%(refname)", "refs/exps").split()
    queued = next(name for name in references if name.endswith("/queued"))
    lock = yaml.safe_load(project.run("git", "show", f"{queued}:dvc.lock"))["stages"]["report"]
    md5 = next(out["md5"] for out in lock["outs"] if out["path"].endswith("tables.md"))
    text = (project.root / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}").read_text(encoding="utf-8")
    assert text.startswith("# Queued: ")
    assert "Queued" not in (project.root / "data/report/tables.md").read_text(encoding="utf-8")


def test_a_typo_in_the_grid_is_found_by_the_first_stage(project):
    project.replace("params.yaml", "- vanilla", "- vanila")
    try:
        done = project.attempt("dvc", "repro", "--force", "prepare@tiny")
        assert done.returncode != 0
        assert "pag: params.yaml: grid.baselines names 'vanila'" in done.stderr
    finally:
        project.restore()


def test_metrics_and_plots_are_shown(project):
    shown = json.loads(project.run("dvc", "metrics", "show", "--json"))
    text = json.dumps(shown)
    assert "resnet8-vanilla" in text
    assert "autoattack" in text
    assert re.search(r"data/report/\w+\.csv", project.run("dvc", "plots", "show", "--json"))


def test_imported_model_takes_the_place_of_a_trained_one(project):
    state = load_file(project.root / "data/tiny/diffusion/3407/model.safetensors")
    torch.save({name: value + 0.01 for name, value in state.items()}, project.root / "ema.pt")
    project.run("python", "-m", "stages", "import", "diffusion", "--dataset", "tiny", "--file", "ema.pt")
    project.run("dvc", "commit", "--force", "train_diffusion@tiny-3407")
    assert project.stages_run("dvc", "repro", "score_targets@tiny-3407") == {"score_targets@tiny-3407"}
    (project.root / "ema.pt").unlink()
    project.restore()


def test_a_run_by_hand_leaves_git_as_it_was(project):
    cell = ("--dataset", "tiny", "--architecture", "resnet8", "--method", "vanilla")
    project.run("python", "-m", "stages", "train", *cell, "--set", "params/tiny.yaml:training.epochs=2")
    assert project.run("git", "status", "--porcelain") == ""
    project.restore()
