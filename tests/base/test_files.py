"""Laws of outputs that are written whole: what is finished replaces what was there, and DVC's own file in a folder stays."""

from pathlib import Path

import pytest

from pag.base.errors import InputError
from pag.base.files import json_text, read_json, write_json, written_whole


def write(destination, names):
    with written_whole(destination) as folder:
        folder.mkdir()
        for name in names:
            (folder / name).write_text("new", encoding="utf-8")


def contents(folder):
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}


@pytest.fixture
def cell(tmp_path):
    """A folder with an earlier output."""
    folder = tmp_path / "cell"
    folder.mkdir()
    (folder / "old.csv").write_text("old", encoding="utf-8")
    return folder


def test_a_new_folder_takes_the_place_of_the_old_one(cell):
    write(cell, ["new.csv"])
    assert contents(cell) == {"new.csv": "new"}
    assert list(cell.parent.iterdir()) == [cell]


def test_a_folder_where_nothing_was_has_what_was_written(tmp_path):
    write(tmp_path / "a" / "cell", ["new.csv"])
    assert contents(tmp_path / "a" / "cell") == {"new.csv": "new"}


def test_on_an_error_all_stays(cell):
    before = contents(cell)
    with pytest.raises(FileNotFoundError):
        write(cell, ["new.csv", "no folder/new.csv"])
    assert contents(cell) == before
    assert list(cell.parent.iterdir()) == [cell]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_are_none_never_reach_json(tmp_path, number):
    path = tmp_path / "metrics.json"
    write_json(path, {"clean": 0.5})
    with pytest.raises(
        FloatingPointError, match=r"metrics\.json: clean\.interval\.1 is -?(nan|inf), which cannot be kept"
    ):
        write_json(path, {"clean": {"interval": [0.5, number]}})
    assert read_json(path) == {"clean": 0.5}
    with pytest.raises(FloatingPointError, match="The value is"):
        json_text(number)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_not_read_from_json(tmp_path, constant):
    path = tmp_path / "metrics.json"
    path.write_text(f'{{"clean": {constant}}}', encoding="utf-8")
    with pytest.raises(InputError, match=rf"metrics\.json is not valid JSON \({constant} is no number\)"):
        read_json(path)


def test_json_is_written_in_one_place_alone():
    root = Path(__file__).parents[2]
    sources = {path for room in ("pag", "stages", "benchmarks") for path in (root / room).rglob("*.py")}
    assert [path.name for path in sources if "json.dump" in path.read_text(encoding="utf-8")] == ["files.py"]
