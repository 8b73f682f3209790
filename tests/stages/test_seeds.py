"""Laws of seeds: each cell is named by its own and draws from them alone; one that is added alters no other cell."""

import shutil
from pathlib import Path

import artifacts
import numpy as np
import pytest
import typer
import yaml
from dvc.repo import Repo
from pydantic import ValidationError
from stored import digests

from pag.base.errors import InputError
from pag.data.image_store import ImageStore
from pag.targets.heuristic_store import write_representatives
from pag.targets.store import Origin
from stages import evaluate, train, visualize
from stages.cells import named_cell
from stages.cli import app
from stages.params.reading import Params
from stages.paths import Cell, DatasetPaths, grid_cells, sweep_cells
from stages.reporting.former import set_aside
from stages.reporting.methods import by_method
from stages.reporting.results import gather, read_gathered
from stages.reporting.sources import KeptRun
from stages.run import read_times

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
PATHS = DatasetPaths("digits")
BRIEF = (
    "params/digits.yaml:training.epochs=1",
    "params/digits.yaml:training.validation_attack.steps=1",
    "params/digits.yaml:methods.class_mean.classes_per_step=10",
)
FEW = ("grid.baselines=[vanilla]", "grid.aligned=[score_based]", "grid.lambdas=[0.5]")
CELL = ("--dataset", "digits", "--architecture", "resnet8", "--params", str(PARAMS_FILE))


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Images of ten classes in a working directory, with the means of two seeds, which differ."""
    monkeypatch.chdir(tmp_path)
    artifacts.write_ten_images(PATHS, 8)
    origin = Origin(ImageStore.open(PATHS.images).checksum, "train")
    for seed in (1, 2):
        means = np.random.default_rng(seed).random((10, 8, 8, 1), dtype=np.float32)
        PATHS.target_stores(seed).mkdir(parents=True)
        write_representatives(PATHS.targets("class_mean", seed), means, "image", np.arange(10), origin)


def _trained(method, seed, targets_seed=None, overrides=()):
    """The digests of a classifier's files."""
    cell = Cell("digits", "resnet8", method, seed, targets_seed)
    train.run(Params(PARAMS_FILE, [*BRIEF, *overrides]), cell)
    return digests(cell.classifier)


def test_a_classifier_is_a_function_of_its_own_seed(images):
    one, other = _trained("vanilla", 1), _trained("vanilla", 2)
    assert one["model.safetensors"] != other["model.safetensors"]
    assert one["curves.csv"] != other["curves.csv"]
    shutil.rmtree(PATHS.root / "classifiers")
    assert _trained("vanilla", 1, overrides=["seed=9", "grid.seeds=[5]"]) == one


def test_a_classifier_learns_from_the_targets_of_its_own_targets_seed(images):
    made = {(seed, of): _trained("class_mean", seed, of)["model.safetensors"] for seed in (1, 2) for of in (1, 2)}
    assert len(set(made.values())) == 4
    shutil.rmtree(PATHS.target_stores(1))
    assert _trained("class_mean", 1, 2)["model.safetensors"] == made[1, 2]
    with pytest.raises(InputError, match=r"targets/1/class_mean\.zarr"):
        _trained("class_mean", 1, 1)


def test_seconds_of_a_training_are_found_by_its_cell(images):
    _trained("class_mean", 1, 2)
    assert set(read_times()) == {f"train@{Cell('digits', 'resnet8', 'class_mean', 1, 2).name}"}


def test_a_method_without_targets_has_no_seed_of_theirs(images):
    with pytest.raises(InputError, match="vanilla reads none"):
        app(["train", *CELL, "--method", "vanilla", "--targets-seed", "1"], standalone_mode=False)
    with pytest.raises(InputError, match="class_mean reads targets"):
        _trained("class_mean", 1)


def test_an_evaluation_is_of_the_classifier_of_its_seeds(images):
    _trained("class_mean", 1, 2)
    cell, other = (Cell("digits", "resnet8", "class_mean", *seeds) for seeds in ((1, 2), (1, 1)))
    store = ImageStore.open(PATHS.images)
    subject = evaluate._subject(cell, store)
    assert (subject.seed, subject.targets_seed) == (1, 2)
    shutil.copytree(cell.classifier, other.classifier)
    with pytest.raises(InputError, match="its targets_seed is 2, not 1"):
        evaluate._subject(other, store)


def test_the_first_of_each_is_meant_where_none_is_given():
    params = Params(PARAMS_FILE, ["grid.seeds=[5, 6]", "grid.targets_seeds=[7, 8]"])
    where = ("digits", "resnet8")
    assert named_cell(params, *where, "vanilla") == Cell(*where, "vanilla", 5)
    assert named_cell(params, *where, "score_based") == Cell(*where, "score_based", 5, 7)
    assert named_cell(params, *where, "score_based", 6, 8, 0.5) == Cell(*where, "score_based", 6, 8, 0.5)


@pytest.mark.parametrize(("option", "value"), [("--seed", "-1"), ("--targets-seed", "x"), ("--seed", "9" * 20)])
def test_a_seed_that_is_none_is_refused(option, value, images):
    with pytest.raises(typer.BadParameter, match=r"equal to|valid int"):
        app(["train", *CELL, "--method", "class_mean", option, value], standalone_mode=False)
    assert not (PATHS.root / "classifiers").exists()


def _stages(folder, **grid):
    """The stages of dvc.yaml in a grid, each as what DVC compares."""
    params = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    params["grid"] |= grid
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    stages = Repo(str(folder), uninitialized=True).stage.load_all("dvc.yaml")
    return {
        stage.name: (
            stage.cmd, sorted(map(str, stage.deps)), sorted(map(str, stage.outs)),
            [(str(p), sorted(p.params)) for p in stage.params],
        )
        for stage in stages
    }  # fmt: skip


def test_a_seed_that_is_added_alters_no_stage_of_another(tmp_path, monkeypatch):
    for file in ("dvc.yaml", "params.yaml"):
        shutil.copy(PARAMS_FILE.with_name(file), tmp_path)
    shutil.copytree(PARAMS_FILE.with_name("params"), tmp_path / "params")
    monkeypatch.chdir(tmp_path)
    combined = {"bases": ["at_l2"], "targets": ["score_based"]}
    before = _stages(tmp_path, seeds=[3407], targets_seeds=[3407], combined=combined)
    seeds = _stages(tmp_path, seeds=[3407, 1])
    both = _stages(tmp_path, targets_seeds=[3407, 2])
    assert before.items() < seeds.items() < both.items()
    assert not [name for name in seeds.keys() - before.keys() if not name.startswith(("train_", "evaluate_"))]
    params = Params(tmp_path / "params.yaml")
    cells = [cell for walk in (grid_cells, sweep_cells) for cell in walk(params, "digits", "resnet8")]
    for stage, folders in (
        ("train", {str(c.classifier) for c in cells}),
        ("evaluate", {str(c.evaluation) for c in cells}),
    ):
        outs = [out for name, (_, _, outs, _) in both.items() if name.startswith(f"{stage}_") for out in outs]
        assert {str(Path(out).parent) for out in outs if "resnet8" in out} == folders
    for name, (_, deps, outs, _) in both.items():
        if name.startswith("train_") and "/classifiers/" in outs[0]:
            read = {Path(dep).parent.name for dep in deps if "/targets/" in dep}
            assert read == set(Path(outs[0]).parent.name.split("-")[1:]), name


@pytest.fixture
def two_seeds(tmp_path, monkeypatch):
    """Made-up artifacts of a grid of two seeds."""
    monkeypatch.chdir(tmp_path)
    params = Params(PARAMS_FILE, [*FEW, f"grid.seeds=[{artifacts.SEED}, 1]"])
    artifacts.write_all(params, "digits", "resnet8")
    return params


def test_results_have_the_runs_of_a_method_one_after_another(two_seeds):
    results = gather(two_seeds, "digits", "resnet8")
    runs = [(cell.name, cell.evaluation.seeds) for cell in results.cells]
    first = artifacts.SEED
    assert runs == [
        ("vanilla", (first,)),
        ("vanilla", (1,)),
        ("score_based", (first, first)),
        ("score_based", (1, first)),
    ]
    (swept,) = by_method(results).sweep
    assert (swept.name, swept.label, len(swept.runs)) == ("score_based-lambda-0.5", "SBG, λ = 0.5", 2)


def test_a_kept_run_has_several_seeds_of_a_method_and_each_once(two_seeds):
    cells = [cell.evaluation for cell in gather(two_seeds, "digits", "resnet8").cells]
    kept = {"hardware": "a machine", "commit": "0123456", "times": {}, "params": {}}
    assert [cell.seeds for cell in KeptRun(**kept, cells=cells).cells] == [cell.seeds for cell in cells]
    unknown = [cell.model_copy(update={"training_seed": None, "targets_seed": None}) for cell in cells]
    KeptRun(**kept, cells=unknown[::2])  # as runs are that were kept before
    with pytest.raises(ValidationError, match="vanilla twice"):
        KeptRun(**kept, cells=unknown)


def test_results_of_other_seeds_are_refused(two_seeds):
    visualize.run(two_seeds, "digits", "resnet8")
    read_gathered(two_seeds, "digits", "resnet8")
    with pytest.raises(InputError, match="it differs in score_based of seeds 1 and 3407"):
        read_gathered(Params(PARAMS_FILE, FEW), "digits", "resnet8")


def test_cells_of_other_seeds_are_moved_aside_and_nothing_else(two_seeds):
    before, one = digests(PATHS.root), Params(PARAMS_FILE, FEW)
    set_aside(two_seeds, "digits")
    assert digests(PATHS.root) == before
    set_aside(one, "digits")
    moved = {name.removeprefix("former/") for name in digests(PATHS.root) if name.startswith("former/")}
    of_cells = {name.split("/")[2] for name in moved}
    assert of_cells == {"1", f"1-{artifacts.SEED}"}
    assert digests(PATHS.root).keys() == before.keys() - moved | {f"former/{name}" for name in moved}
