"""Laws of dvc.yaml: a stage depends on all the code that its result depends on, and the library knows nothing of the stages."""

from pathlib import Path

import pytest
import yaml
from imports import imported_files

ROOT = Path.cwd()
STAGES = yaml.safe_load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
# What carries values, messages and times, but decides nothing of a result: parameters are tracked key by key.
PLUMBING = {Path(f"{name}.py") for name in ("stages/params", "stages/paths", "stages/execution", "stages/cli")}
PLUMBING |= {*(path.relative_to(ROOT) for path in (ROOT / "stages/schema").glob("*.py"))}
PLUMBING |= {
    Path(f"{name}.py")
    for name in (
        "pag/__init__",
        "pag/errors",
        "pag/progress",
        "pag/precision",
        "pag/processes",
        "pag/ranks",
        "pag/room",
    )
}


def _module(stage):
    """The stage's module, named by its command: `pag score-targets …` is `stages/score_targets.py`."""
    return ROOT / "stages" / (stage["cmd"].split()[1].replace("-", "_") + ".py")


@pytest.mark.parametrize("name", STAGES)
def test_stage_depends_on_the_code_that_it_imports(name):
    stage = STAGES[name]
    files = {path for path in imported_files(_module(stage), ROOT) if path.read_text(encoding="utf-8").count("\n") > 5}
    files -= PLUMBING
    dependencies = [Path(path) for path in stage["deps"]]
    missing = {str(path) for path in files if not any(d == path or d in path.parents for d in dependencies)}
    assert not missing


@pytest.mark.parametrize("name", STAGES)
def test_stage_names_no_code_that_is_not_there(name):
    code = [Path(path) for path in STAGES[name]["deps"] if not path.startswith("data/")]
    assert [str(path) for path in code if not path.exists()] == []


def test_library_imports_nothing_of_the_stages():
    for path in (ROOT / "pag").rglob("*.py"):
        assert not [file for file in imported_files(path, ROOT) if file.parts[0] == "stages"], path


def test_only_evaluate_reads_the_test_set():
    readers = {
        path.name for path in (ROOT / "stages").glob("*.py") if 'split("test")' in path.read_text(encoding="utf-8")
    }
    # score_targets writes the reference at test images, which evaluate alone reads (test_stage… above names who depends on it).
    assert readers == {"evaluate.py", "score_targets.py"}
    of_test_targets = [name for name, stage in STAGES.items() if any("test_targets" in d for d in stage["deps"])]
    assert all(name.startswith("evaluate_") for name in of_test_targets)
