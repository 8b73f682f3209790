"""Laws of curves: what is written is read back, and what is no table of numbers is refused."""

import pytest

from pag.base.errors import InputError
from pag.optimization.curves import read_curves, write_curves


def test_columns_come_back_exactly_and_what_a_row_lacks_is_none(tmp_path):
    rows = [{"step": 1, "loss": 1 / 3, "other": 2.0}, {"step": 2, "loss": 1e-300, "accuracy": 0.1}]
    write_curves(tmp_path / "curves.csv", ["step", "loss", "accuracy"], rows)
    assert read_curves(tmp_path / "curves.csv") == {
        "step": [1, 2], "loss": [1 / 3, 1e-300], "accuracy": [None, 0.1],
    }  # fmt: skip


@pytest.mark.parametrize("text", ["step,loss\n1,two\n", "step\n1,2\n", "loss\nnan\n", "loss\n-inf\n"])
def test_damaged_curves_are_named(tmp_path, text):
    (tmp_path / "curves.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"curves\.csv holds something else"):
        read_curves(tmp_path / "curves.csv")


def test_missing_curves_are_named(tmp_path):
    with pytest.raises(InputError, match=r"curves\.csv does not exist"):
        read_curves(tmp_path / "curves.csv")
