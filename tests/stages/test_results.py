"""Laws of `pag results`: the page in `docs/` is what the command writes, and mistakes in a summary are named by file and key."""

from pathlib import Path

import artifacts
import pytest

from pag.base.errors import InputError
from pag.base.json_files import write_json
from stages.commands.results import PAGES, with_tables, write_results
from stages.reporting.summaries import read_summary, summary_table

ROOT = Path(__file__).parents[2]
METHOD = artifacts.METHODS["score_based"].model_dump(mode="json")
ROW = {"method": METHOD, "lambda": 2.0, "measures": {
    "clean": {"mean": 0.5, "sd": 0.01, "range": [0.4, 0.6]}, "validation cosine": {"mean": 0.3, "sd": 0.02, "range": [0.25, 0.35]},
}}  # fmt: skip
COLUMNS = {"clean": "n = 9", "validation cosine": "", "alignment": "cosine"}
SUMMARY = {"title": "Runs", "source": "made up", "seeds": [1, 2], "columns": COLUMNS, "rows": [ROW]}


@pytest.mark.parametrize(("page", "tables"), list(zip(PAGES, (1, 20), strict=True)), ids=str)
def test_the_pages_are_what_the_command_writes(page, tables, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = page.read_text(encoding="utf-8")
    assert text == with_tables(text)
    assert text.count("<!-- table: ") == text.count("<!-- /table -->") == tables


def test_tables_are_written_again_and_prose_stays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_json(Path("results/summaries/seeds.json"), SUMMARY)
    page, other = PAGES
    other.parent.mkdir()
    other.write_text("No table.\n", encoding="utf-8")
    page.write_text("Before.\n\n<!-- table: summaries/seeds -->\nold\n<!-- /table -->\n\nAfter.\n", encoding="utf-8")
    write_results()
    text = page.read_text(encoding="utf-8")
    assert text.startswith("Before.\n\n<!-- table: summaries/seeds -->\n")
    assert text.endswith("\n<!-- /table -->\n\nAfter.\n")
    assert "old" not in text
    assert "| SBG λ = 2 | 50.0% ± 1.0 \\[40.0% to 60.0%\\] | 0.300 ± 0.020 \\[0.250 to 0.350\\] | – |" in text
    assert "Runs; seeds 1, 2." in text
    write_results()
    assert page.read_text(encoding="utf-8") == text


def test_a_table_without_its_file_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"README\.md does not exist"):
        write_results()
    with pytest.raises(InputError, match=r"results/far\.json does not exist"):
        with_tables("<!-- table: far -->\n<!-- /table -->")


@pytest.mark.parametrize(("key", "value", "sentence"), [
    ("seeds", [], "seeds: list should have"),
    ("gpu", 1, "gpu: extra inputs"),
    ("rows", [{**ROW, "method": "score_based"}], r"rows\.0\.method"),
    ("rows", [{**ROW, "measures": {"clean": {"sd": 0.1}}}], r"rows\.0\.measures\.clean\.mean: field required"),
])  # fmt: skip
def test_mistakes_in_a_summary_are_named(key, value, sentence, tmp_path):
    write_json(tmp_path / "seeds.json", SUMMARY | {key: value})
    with pytest.raises(InputError, match=sentence) as error:
        read_summary(tmp_path / "seeds.json")
    assert str(error.value).startswith(f"{tmp_path / 'seeds.json'}: ")


def test_a_single_run_has_a_mean_alone(tmp_path):
    row = {**ROW, "lambda": None, "measures": {"alignment": {"mean": 0.25}}}
    write_json(tmp_path / "seeds.json", SUMMARY | {"rows": [row]})
    table = summary_table(read_summary(tmp_path / "seeds.json"))
    assert [entry.text for entry in table.rows[0]] == ["SBG", "–", "–", "0.250"]
