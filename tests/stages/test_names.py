"""Laws of names: what a command is given is looked up in params before a path is made of it, and nothing is replaced elsewhere."""

import json
from pathlib import Path

import pytest

from pag.base.errors import InputError
from stages.cli import app
from stages.params.section import require_names
from stages.paths import Cell, DatasetPaths
from stages.run import stage_run

CELL = {"--dataset": "digits", "--architecture": "resnet8", "--method": "vanilla"}
PLACE = {name: CELL[name] for name in ("--dataset", "--architecture")}
COMMANDS = {
    ("originals",): {"--dataset": "digits"},
    ("prepare",): {"--dataset": "digits"},
    ("train-diffusion",): {"--dataset": "digits"},
    ("score-targets",): {"--dataset": "digits"},
    ("heuristic-targets",): {"--dataset": "digits", "--source": "one_image"},
    ("teacher-targets",): CELL | {"--method": "at_l2"},
    ("train",): CELL,
    ("evaluate",): CELL,
    ("evaluate", "--checkpoint", "a.pt"): PLACE,
    ("visualize",): PLACE,
    ("import", "diffusion", "--file", "a.pt"): {"--dataset": "digits"},
    ("import", "targets", "--file", "a.pt", "--labels", "b.pt"): {"--dataset": "digits", "--name": "published"},
}
NOT_NAMES = ("../classifiers/resnet8", "/etc", "", "..", "digits/../../..", "x; touch pwned", "Digits", "digits\n")
UNKNOWN = "unheard_of"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", [UNKNOWN, NOT_NAMES[0]])
def test_a_name_that_params_do_not_have_is_refused_before_anything_is_made(command, name, tmp_path, monkeypatch):
    params = Path("params.yaml").absolute()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.cli.running.import_module", lambda module: pytest.fail(f"{module} was run"))
    for option in COMMANDS[command]:
        given = [part for pair in (COMMANDS[command] | {option: name}).items() for part in pair]
        with pytest.raises(InputError, match=name.replace(".", r"\.")):
            app([*command, *given, "--params", str(params)], standalone_mode=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NOT_NAMES)
def test_no_path_is_made_of_what_is_no_name(name):
    for make in (
        lambda: DatasetPaths(name),
        lambda: DatasetPaths("digits").targets(name, 1),
        lambda: DatasetPaths("digits").figures(name),
        lambda: Cell(name, "resnet8", "vanilla", 1),
        lambda: Cell("digits", name, "vanilla", 1),
        lambda: Cell("digits", "resnet8", name, 1),
        lambda: require_names(method=name),
    ):
        with pytest.raises(InputError, match="is of lower-case letters, digits and _, not "):
            make()


def test_nothing_is_replaced_where_a_symbolic_link_leads_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "elsewhere" / "resnet8-vanilla" / "1" / "diary.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("dear", encoding="utf-8")
    cell = Cell("digits", "resnet8", "vanilla", 1)
    classifiers = cell.classifier.parents[1]
    classifiers.parent.mkdir(parents=True)
    classifiers.symlink_to("../../elsewhere")
    with pytest.raises(InputError, match="leads out of data/"), stage_run("train", outputs=[cell.classifier]):
        pytest.fail("The stage was run.")
    assert mine.read_text(encoding="utf-8") == "dear"
    assert [str(path.relative_to(mine.parents[2])) for path in mine.parents[2].rglob("*")] == [
        "resnet8-vanilla",
        "resnet8-vanilla/1",
        "resnet8-vanilla/1/diary.txt",
    ]


def test_the_whole_of_data_may_lie_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "large disk").mkdir()
    Path("data").symlink_to("large disk")
    with stage_run("prepare", outputs=[DatasetPaths("digits").images]):
        DatasetPaths("digits").images.touch()
    assert (tmp_path / "large disk/digits/images.zarr").exists()


def test_a_file_of_results_that_is_no_kept_run_stays(tmp_path, monkeypatch):
    params = Path("params.yaml").absolute()
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    mine = Path("results/mine.json")
    mine.write_text(json.dumps({"dear": "diary"}), encoding="utf-8")
    keep = ["keep", "--name", "mine", "--hardware", "a machine", "--params", str(params)]
    with pytest.raises(InputError, match=r"results/mine\.json: "):
        app(keep, standalone_mode=False)
    assert json.loads(mine.read_text(encoding="utf-8")) == {"dear": "diary"}


@pytest.mark.parametrize("options", [["--base", "at_l2"], ["--targets", "score_based"], []])
def test_a_combined_method_is_named_by_both_its_parts_or_as_a_whole(options):
    with pytest.raises(InputError, match="--base"):
        app(["train", "--dataset", "digits", "--architecture", "resnet8", *options], standalone_mode=False)
    both = ["--base", "at_l2", "--targets", "score_based", "--method", "vanilla"]
    with pytest.raises(InputError, match="go together"):
        app(["evaluate", "--dataset", "digits", "--architecture", "resnet8", *both], standalone_mode=False)
