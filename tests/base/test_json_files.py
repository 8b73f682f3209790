"""Laws of JSON files: no NaN, no infinity, neither written nor read."""

from pathlib import Path

import pytest

from pag.base.errors import InputError
from pag.base.json_files import json_text, read_json, write_json


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
    with pytest.raises(InputError, match=rf"metrics\.json is not valid JSON \({constant} is no finite number\)"):
        read_json(path)


def test_json_is_written_in_one_place_alone():
    root = Path(__file__).parents[2]
    sources = {path for room in ("pag", "stages", "benchmarks") for path in (root / room).rglob("*.py")}
    assert [path.name for path in sources if "json.dump" in path.read_text(encoding="utf-8")] == ["json_files.py"]
