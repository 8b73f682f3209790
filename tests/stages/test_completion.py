"""Laws of what the shell sees beside commands: names of params are completed, quickly and whatever the files hold; the version."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stages.cli import app


def completed(line, monkeypatch):
    """What bash is offered for the last word of a line."""
    words = line.split(" ")
    monkeypatch.setenv("_PAG_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    return CliRunner().invoke(app, [], prog_name="pag").stdout.split()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pag train --dataset dig", ["digits"]),
        ("pag train --dataset digits --architecture resnet8", ["resnet8", "resnet8_bn"]),
        ("pag train --dataset digits --method fgsm", ["fgsm_l2", "fgsm_linf"]),
        ("pag train --dataset cifar10 --method publ", ["published"]),
        ("pag train --dataset digits --method publ", []),
        ("pag heuristic-targets --dataset digits --source kern", ["kernel"]),
        ("pag explain resnet1", ["resnet18"]),
    ],
)
def test_names_of_params_are_completed(line, expected, monkeypatch):
    assert completed(line, monkeypatch) == expected


@pytest.mark.parametrize("content", ["", "a: [1", "methods: 3", "- 1"])
def test_files_that_are_not_in_form_complete_nothing(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params").mkdir()
    Path("params/digits.yaml").write_text(content, encoding="utf-8")
    assert completed("pag train --dataset digits --method at", monkeypatch) == []
    assert completed("pag train --architecture r", monkeypatch) == []


def test_neither_completion_nor_version_imports_torch():
    for arguments in (["pag", "--version"], ["pag", "--show-completion"]):
        code = f"import sys, stages.cli; sys.argv = {arguments}\ntry: stages.cli.main()\nfinally: assert 'torch' not in sys.modules"
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
        assert "AssertionError" not in done.stderr


def test_the_version_is_one_line(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert re.fullmatch(
        r"pag \S+( \(commit [0-9a-f]+(, with changes)?\))?, torch \S+, Python 3\.\d+\.\d+\n", result.stdout
    )
