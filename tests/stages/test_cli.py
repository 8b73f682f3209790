"""The command line: bad input and Ctrl-C end with one sentence and their exit status, and leave nothing behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import artifacts
import pytest
import torch
from typer.testing import CliRunner

from pag.base.errors import InputError
from stages import prepare, train
from stages import run as execution
from stages.cli import app, main
from stages.cli.closing import closing_line
from stages.params.reading import Params
from stages.paths import CHECKPOINTS, Cell, DatasetPaths

PARAMS_FILE = Path("params.yaml").absolute()


def test_interruption_is_told_with_status_130(monkeypatch):
    def interrupted(params, dataset):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "run", interrupted)
    result = CliRunner().invoke(app, ["prepare", "--dataset", "digits"])
    assert result.exit_code == 130
    assert "resumes from its last checkpoint" in result.output


def test_bad_input_is_one_sentence_with_status_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pag", "prepare", "--dataset", "digits", "--set", "seed=-1"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("pag: params.yaml: seed: ")
    assert len(told.splitlines()) == 1


def told(capsys, monkeypatch, *options):
    """The exit status of the command, and what it says."""
    monkeypatch.setattr(sys, "argv", ["pag", *options])
    with pytest.raises(SystemExit) as end:
        main()
    return end.value.code, capsys.readouterr().err


def raising(error):
    def run(*arguments):
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (InputError("No such thing."), "No such thing."),
        (FloatingPointError("The loss is NaN."), "The loss is NaN."),
        (OSError(28, "No space left on device", "data/digits"), "data/digits: no space left on device."),
        (PermissionError(13, "Permission denied", "data"), "data: permission denied."),
        (OSError("read error"), "read error."),
        (MemoryError(), "There is not enough memory (nothing is left); a smaller data set needs less."),
        (RuntimeError("[x] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000 bytes."),
         "There is not enough memory (can't allocate memory: you tried to allocate 4000 bytes); a smaller data set needs less."),
    ],
)  # fmt: skip
def test_what_is_expected_to_fail_is_told_in_one_sentence(monkeypatch, capsys, error, sentence):
    monkeypatch.setattr(prepare, "run", raising(error))
    assert told(capsys, monkeypatch, "prepare", "--dataset", "digits") == (2, f"pag: {sentence}\n")


def test_a_lack_of_memory_is_told_with_what_to_lower(monkeypatch, capsys):
    monkeypatch.setattr(train, "run", raising(MemoryError("Unable to allocate 7 PiB")))
    cell = ("--dataset", "digits", "--architecture", "resnet8", "--method", "vanilla")
    assert "training.batch_size" in told(capsys, monkeypatch, "train", *cell)[1]


def test_a_fault_of_ours_keeps_its_traceback_and_says_where_to_report_it(monkeypatch, capsys):
    monkeypatch.setattr(prepare, "run", raising(ZeroDivisionError("a fault")))
    status, lines = told(capsys, monkeypatch, "prepare", "--dataset", "digits")
    assert status == 1
    assert lines.startswith("Traceback")
    assert "ZeroDivisionError: a fault" in lines
    assert "please report" in lines.splitlines()[-1]


@pytest.mark.parametrize("kind", ["file", "loop"])
@pytest.mark.parametrize("command", ["code", "prepare --dataset digits", "train-toy"])
def test_data_that_is_no_folder_is_told(monkeypatch, capsys, tmp_path, kind, command):
    params = Path("params.yaml").absolute()
    monkeypatch.chdir(tmp_path)
    Path("data").symlink_to("data") if kind == "loop" else Path("data").touch()
    status, sentence = told(capsys, monkeypatch, *command.split(), "--params", str(params))
    assert (status, len(sentence.splitlines())) == (2, 1)
    assert sentence.startswith("pag: data")


@pytest.mark.parametrize(("stage", "portable"), [("prepare", "AVX2"), ("originals", "as it was")])
def test_a_stage_computes_with_the_instructions_that_params_say(monkeypatch, stage, portable):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "as it was")
    seen = []
    monkeypatch.setattr(f"stages.{stage}.run", lambda *arguments: seen.append(os.environ["ONEDNN_MAX_CPU_ISA"]))
    assert CliRunner().invoke(app, [stage, "--dataset", "digits"]).exit_code == 0
    assert CliRunner().invoke(app, [stage, "--dataset", "digits", "--set", "arithmetic=native"]).exit_code == 0
    assert seen == [portable, portable]  # native leaves what is there


def interrupted_with_state():
    with execution.stage_run("prepare", "cell") as checkpoints:
        (checkpoints / "state.pt").touch()
        raise InputError("No.")


def test_failed_stage_leaves_no_empty_checkpoint_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError), execution.stage_run("prepare", "cell"):
        raise InputError("No.")
    assert list(CHECKPOINTS.iterdir()) == []
    with pytest.raises(InputError):
        interrupted_with_state()
    with execution.stage_run("prepare", "cell") as checkpoints:
        assert (checkpoints / "state.pt").exists()
    assert list(CHECKPOINTS.iterdir()) == []


def test_help_does_not_import_torch():
    code = "import sys, stages.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_code_of_ones_own_is_found_in_the_folder_of_the_command(tmp_path):
    (tmp_path / "extensions").mkdir()
    (tmp_path / "extensions/own.py").write_text("raise RuntimeError('found')", encoding="utf-8")
    script = "from stages.cli import main; main()"  # as the installed script, whose folder is another: without the present one
    command = [sys.executable, "-P", "-c", script]
    digits = ("--dataset", "digits", "--params", PARAMS_FILE.absolute())
    subprocess.run([*command, "prepare", *digits], cwd=tmp_path, capture_output=True, check=True)
    evaluation = [*command, "evaluate", "--module", "extensions.own:Own", *digits]
    done = subprocess.run(evaluation, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "(found)" in done.stderr) == (2, True), done.stderr


def test_the_last_line_says_what_came_out_and_where(monkeypatch, tmp_path):
    folder = tmp_path / "3407"
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps({"validation": {"accuracy": 0.972}, "loss": 0.1}), encoding="utf-8")
    monkeypatch.setattr(train, "run", lambda *arguments: folder)
    cell = ("--dataset", "digits", "--architecture", "resnet8", "--method", "vanilla")
    assert CliRunner().invoke(app, ["train", *cell]).stdout == f"{folder}: validation accuracy 97.2%\n"
    monkeypatch.setenv("RANK", "1")
    assert CliRunner().invoke(app, ["train", *cell]).stdout == ""


def test_what_was_made_is_told_by_its_numbers_its_arrays_or_its_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    artifacts.write_all(Params(PARAMS_FILE, ["grid.lambdas=[]"]), "digits", "resnet8")
    cell = Cell("digits", "resnet8", "vanilla", artifacts.SEED)
    assert closing_line(cell.classifier) == f"{cell.classifier}: validation accuracy 97.0%"
    told = closing_line(cell.evaluation)
    assert told == f"{cell.evaluation}: clean 95.0%, AutoAttack l2 5.0%, AutoAttack linf 2.0%, alignment 0.100"
    images = DatasetPaths("digits").images
    assert closing_line(images) == f"{images}: test/images 20 × 8 × 8 × 1, train/images 20 × 8 × 8 × 1"
    (tmp_path / "page.html").write_bytes(bytes(1500))
    assert closing_line(Path("page.html")) == "page.html: 1.5 KB"


@pytest.mark.parametrize(("asked", "ranks", "made"), [(None, "1", 8), (None, "3", 2), (None, "16", 1), (5, "3", 5)])
def test_cpus_have_a_process_a_core_unless_told(monkeypatch, asked, ranks, made):
    monkeypatch.setattr(execution, "device", lambda: torch.device("cpu"))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
    assert execution.processes(asked) == made


def test_on_a_gpu_a_rank_is_one_process(monkeypatch):
    monkeypatch.setattr(execution, "device", lambda: torch.device("cuda"))
    assert execution.processes(None) == execution.processes(1) == 1
    with pytest.raises(InputError, match="--workers is for CPUs"):
        execution.processes(2)
