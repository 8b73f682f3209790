"""Laws of the layout: rooms import only rooms below them, as their docstrings say, and the library knows nothing of the stages."""

import ast
import re
from pathlib import Path

import pytest
import yaml

from stages.code import STAGES
from stages.digests import ROOT, sources

ROOMS = [
    "base", "machine", "data", "improved_diffusion", "networks", "attacks", "alignment", "optimization", "diffusion", "targets",
    "training", "evaluation", "toy", "figures", "page",
]  # fmt: skip
STAGE_ROOMS = ["params", "paths", "digests", "run", "reporting", "stages", "commands", "cli"]


def imports(path):
    """The dotted names that a file imports, in any of its functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_of(folder, package):
    """The rooms of `package` that a folder's files import, but for its own."""
    found = {
        name.split(".")[1] for path in folder.rglob("*.py") for name in imports(path) if name.startswith(f"{package}.")
    }
    return found - {folder.name}


def stage_room(name):
    """Where a module of `stages` stands in the order: by its folder, by itself, or among the stages."""
    return name if name in STAGE_ROOMS else "cli" if name == "__main__" else "stages"


def test_every_room_has_its_place():
    folders = {path.name for path in (ROOT / "pag").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS)
    assert [path.name for path in (ROOT / "pag").glob("*.py")] == ["__init__.py"]
    assert len(ROOMS) <= 15


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_below_it_and_those_that_it_says(room):
    imported = rooms_of(ROOT / "pag" / room, "pag")
    assert imported <= set(ROOMS[: ROOMS.index(room)])
    docstring = ast.get_docstring(ast.parse((ROOT / "pag" / room / "__init__.py").read_text(encoding="utf-8")))
    said = re.search(r"Imports (.*)\.$", docstring.replace("\n", " "))
    assert said is not None
    assert set(re.findall(r"`(\w+)`", said[1])) - {"pag"} == imported


def test_the_library_knows_nothing_of_the_stages():
    for path in (ROOT / "pag").rglob("*.py"):
        assert not [name for name in imports(path) if name.split(".")[0] in ("stages", "dvc", "typer")], path


def test_modules_of_the_stages_import_only_what_is_below_them():
    for path in (ROOT / "stages").rglob("*.py"):
        place = STAGE_ROOMS.index(stage_room(path.relative_to(ROOT / "stages").parts[0].removesuffix(".py")))
        used = {stage_room(name.split(".")[1]) for name in imports(path) if name.startswith("stages.")}
        assert {STAGE_ROOMS.index(room) for room in used} <= set(range(place + 1)), path


HELPING = {"__init__", "__main__", "cells", "digests", "objectives", "paths", "run", "training_data"}


def test_every_stage_has_its_module_and_every_module_its_stage():
    commands = {stage["cmd"].split()[3] for stage in yaml.safe_load(Path("dvc.yaml").read_text())["stages"].values()}
    assert {command.replace("-", "_") for command in commands} == {"code", *STAGES}
    modules = {path.stem for path in (ROOT / "stages").glob("*.py")}
    assert modules == {"code", *STAGES} | HELPING


def test_only_evaluate_reads_the_test_set():
    readers = {
        path.name for path in (ROOT / "stages").rglob("*.py") if 'split("test")' in path.read_text(encoding="utf-8")
    }
    assert readers == {"evaluate.py", "score_targets.py"}  # which writes the reference that evaluate alone reads
    stages = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    of_test_targets = [name for name, stage in stages.items() if any("test_targets" in d for d in stage["deps"])]
    assert of_test_targets
    assert all(name.startswith("evaluate_") for name in of_test_targets)


def test_evaluation_does_not_run_what_makes_training_fast():
    names = {path.relative_to(ROOT).as_posix() for path in sources(ROOT / "stages/evaluate.py")}
    assert not names & {"pag/alignment/double_backward.py", "pag/alignment/compiled.py"}
    assert not [name for name in names if name.startswith(("pag/training/", "pag/figures/", "pag/improved_diffusion/"))]
