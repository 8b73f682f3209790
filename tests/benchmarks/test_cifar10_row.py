"""Laws of `benchmarks/cifar10_row.py`: what it runs and does not run again, and how it counts operations. Its stages are fakes."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import typer

import cifar10_row
from pag.base.json_files import read_json, write_json
from pag.data.datasets import Dataset, LabelledImages
from pag.data.image_store import write_images
from stages.cli import app

SHARED = ["prepare", "train-diffusion", "score-targets", "score-targets test"]
SECONDS = {
    "prepare": 1.0,
    "train_diffusion": 2.0,
    "score_targets": 3.0,
    "test_targets": 4.0,
    "train": 5.0,
    "evaluate": 6.0,
}
FOLDER = "resnet8-score_based/3407-3407"
CELL = FOLDER.replace("/", "-")
CLI = typer.main.get_command(app)


def _images(path):
    labels = np.arange(30) % 10
    part = LabelledImages(np.zeros((30, 8, 8, 1), np.uint8), labels)
    path.parent.mkdir(parents=True)
    write_images(path, Dataset("digits", part, part, tuple("abcdefghij"), "made up"), labels == 0)


def _made(command, data):
    """Writes what a stage would, in so far as the row reads it."""
    if command == "prepare":
        _images(data / "images.zarr")
    elif command == "train":
        (data / "classifiers" / FOLDER).mkdir(parents=True)
        write_json(data / "classifiers" / FOLDER / "metrics.json", {"validation": {"accuracy": 0.5}})
    elif command == "evaluate":
        (data / "evaluations" / FOLDER).mkdir(parents=True)
        threats = {"l2": {"value": 0.2}, "linf": {"value": 0.1}}
        write_json(data / "evaluations" / FOLDER / "metrics.json", {"clean": {"value": 0.9}, "autoattack": threats})
    else:
        name = {"train-diffusion": "diffusion/3407", "score-targets": "targets/3407/score_based.zarr"}.get(command)
        (data / (name or "test_targets.zarr")).mkdir(parents=True)


@pytest.fixture
def ran(monkeypatch):
    """The commands that are run, by fakes; one whose name is in `ran.failing` fails."""

    class Ran(list):
        failing = ""

    commands = Ran()

    def run(arguments, cwd, check):
        words, data = arguments[3:], Path(cwd) / "data" / "digits"
        CLI.commands[words[0]].make_context(words[0], words[1:])  # raises where the stage has no such option
        assert words[words.index("--dataset") + 1] == "digits"
        command = words[0] + (" test" if "--split" in words else "")
        commands.append(command)
        if command == commands.failing:
            return subprocess.CompletedProcess(arguments, 1)
        _made(command, data)
        stage = "test_targets" if "test" in command else command.replace("-", "_")
        with (data.parent / "times.jsonl").open("a", encoding="utf-8") as log:
            cell = f"digits-{CELL}" if command in ("train", "evaluate") else "digits"
            log.write(f'{{"stage": "{stage}@{cell}", "seconds": {SECONDS[stage]}}}\n')
        return subprocess.CompletedProcess(arguments, 0)

    monkeypatch.setattr(cifar10_row.subprocess, "run", run)
    return commands


def _row(folder, ks):
    cifar10_row.cifar10_row(folder, ks, peak=1.0, quick=True)
    return read_json(folder / "row.json")["runs"]


def test_it_goes_on_from_what_is_there(tmp_path, ran):
    (first,) = _row(tmp_path, "1")
    assert ran == [*SHARED, "train", "evaluate"]
    ran.clear()
    one, two = _row(tmp_path, "1,2")
    assert ran == ["train", "evaluate"]  # of k = 2 alone
    assert one == first
    assert (one["k"], two["k"]) == (1, 2)


def test_a_stage_that_fails_ends_it(tmp_path, ran):
    ran.failing = "evaluate"
    with pytest.raises(typer.Exit):
        _row(tmp_path, "1")
    assert ran == [*SHARED, "train", "evaluate"]
    assert not (tmp_path / "row.json").exists()


def test_operations_are_passes_and_times_are_those_of_the_stages(tmp_path, ran):
    one, two = _row(tmp_path, "1,2")
    assert one["flop"]["train"] * 9 == two["flop"]["train"] * 6  # 3 + 3k
    for stage in ("train_diffusion", "score_targets"):
        assert one["flop"][stage] == two["flop"][stage]
    assert one["seconds"] == {stage: SECONDS[stage] for stage in cifar10_row.STAGES}
    assert one["share_of_peak"] == {
        stage: pytest.approx(flop / SECONDS[stage] / 1e12) for stage, flop in one["flop"].items()
    }
    assert (one["clean"], one["robust"], one["validation"]) == (0.9, {"l2": 0.2, "linf": 0.1}, {"accuracy": 0.5})
