"""The law of dvc.yaml's commands: whatever params call a data set, an architecture, a method or λ, the shell passes it on and runs
none of it, in any stage.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo
from typer.testing import CliRunner

from stages.cli import app

HOSTILE = (
    "x; touch pwned #", "$(touch pwned)", "`touch pwned`", "a'; touch pwned; '", 'a"; touch pwned; "', "x && touch pwned",
    "x\ntouch pwned\n", "x > pwned", "\\'; touch pwned", "${HOME} *",
)  # fmt: skip
LISTS = ("datasets", "architectures", "baselines", "heuristics", "aligned", "lambdas", "seeds", "targets_seeds")
TELLING = "#!/bin/sh\nprintf '%s\\0' \"$@\"\n"


def _params(name):
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    params["grid"] = {key: [name] for key in LISTS} | {
        "combined": {"bases": [name], "targets": [name]}, "teachers": {"architecture": name, "methods": [name]},
        "aligned_margin": {"methods": [name], "targets": "kernel"},
        "generated": {key: [name] for key in ("datasets", "baselines", "aligned")},
    }  # fmt: skip
    return params


def _commands(name):
    """The command of each stage, with the name of its cell, in a grid whose every entry is `name`."""
    Path("params.yaml").write_text(yaml.safe_dump(_params(name)), encoding="utf-8")
    stages = Repo(uninitialized=True).stage.load_all("dvc.yaml")
    return [(stage.cmd, stage.name) for stage in stages]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with dvc.yaml and params, where `python` tells what it is given."""
    for file in ("dvc.yaml", "params.yaml"):
        shutil.copy(file, tmp_path)
    shutil.copytree("params", tmp_path / "params")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").write_text(TELLING, encoding="utf-8")
    (tmp_path / "bin/python").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")


def test_a_name_is_passed_on_by_the_shell_and_not_run(project):
    plain = _commands("plain")
    for name in HOSTILE:
        for (command, stage), (expected, _) in zip(_commands(name), plain, strict=True):
            done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
            told = done.stdout.split("\0")[:-1]
            assert told == [name if word == "plain" else word for word in expected.split()[1:]], stage
    assert not Path("pwned").exists()


def test_a_hostile_name_is_told_by_the_first_stage(project):
    for name in HOSTILE:
        Path("params.yaml").write_text(yaml.safe_dump(_params(name)), encoding="utf-8")
        result = CliRunner().invoke(app, ["code"])
        assert "params.yaml: grid.datasets.0: " in str(result.exception)
    assert not Path("data").exists()
