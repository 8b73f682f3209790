"""The command line: bad input and Ctrl-C end with one sentence and their exit status, and leave nothing behind."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from pag.base.errors import InputError
from stages import prepare
from stages import run as execution
from stages.cli import app, main


def test_interruption_is_told_with_status_130(monkeypatch):
    def interrupted(params, dataset):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "run", interrupted)
    result = CliRunner().invoke(app, ["prepare", "--dataset", "digits"])
    assert result.exit_code == 130
    assert "goes on from its last checkpoint" in result.output


def test_bad_input_is_one_sentence_with_status_2(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["pag", "prepare", "--dataset", "digits", "--set", "seed=-1"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("pag: params.yaml: seed: ")
    assert len(told.splitlines()) == 1


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
    assert list(execution.CHECKPOINTS.iterdir()) == []
    with pytest.raises(InputError):
        interrupted_with_state()
    with execution.stage_run("prepare", "cell") as checkpoints:
        assert (checkpoints / "state.pt").exists()
    assert list(execution.CHECKPOINTS.iterdir()) == []


def test_help_does_not_import_torch():
    code = "import sys, stages.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
