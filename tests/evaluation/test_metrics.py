"""Laws of `metrics.json`: what is written is read again, every measure has its name, and damage is refused by its key."""

import json

import pytest

from pag.base.errors import InputError
from pag.base.vocabulary import Method
from pag.evaluation.intervals import Estimate
from pag.evaluation.metrics import Attacked, AutoAttacked, Metrics, read_metrics, write_metrics
from pag.evaluation.sanity import Check

HALF = {"value": 0.5, "interval": (0.25, 0.75), "n": 8}
MEASURED = Metrics(
    dataset="digits",
    architecture="resnet8",
    method=Method(
        name="score_based", objective="alignment", source="score_based", kind="score_based", label="Score-based"
    ),
    lambda_=0.5,
    seed=3,
    clean=Estimate(**HALF),
    autoattack={"l2": AutoAttacked(norm="l2", eps=0.5, attacks={"apgd-ce": 0.75, "square": 0.5}, **HALF)},
    foolbox={"l0_fmn": Attacked(norm="l0", eps=9.0, **HALF)},
    alignment=None,
    sanity={
        "above_chance": Check(value=0.25, bar=0.1, passed=True),
        "noise.l2": Check(value=0.5, bar=0.125, passed=False),
    },
)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"sanity": {}},
        {"images": "0f" * 32, "weights": "1a" * 32},
        {"lambda_": None, "foolbox": {}, "alignment": Estimate(**HALF)},
        {"curve": {"l2": (Attacked(norm="l2", eps=0.0, **HALF), Attacked(norm="l2", eps=0.5, **HALF))}},
    ],
)
def test_what_is_written_is_read_again(tmp_path, changes):
    metrics = MEASURED.model_copy(update=changes)
    write_metrics(tmp_path / "metrics.json", metrics)
    assert read_metrics(tmp_path / "metrics.json") == metrics


def test_keys_of_the_file(tmp_path):
    write_metrics(tmp_path / "metrics.json", MEASURED)
    raw = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    keys = ["dataset", "architecture", "method", "lambda", "seed", "training_seed", "targets_seed", "training_forwards",
            "clean", "autoattack", "foolbox", "alignment", "sanity"]  # fmt: skip
    assert list(raw) == keys  # nothing of an attack that was not run
    assert raw["foolbox"] == {"l0_fmn": {"norm": "l0", "eps": 9.0, "value": 0.5, "interval": [0.25, 0.75], "n": 8}}
    assert raw["sanity"]["noise.l2"] == {"value": 0.5, "bar": 0.125, "passed": False}
    assert list(MEASURED.measures) == ["clean", "autoattack.l2", "foolbox.l0_fmn"]


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("seed", "three", "seed"),
        ("clean", {"value": 0.5}, "clean.interval"),
        ("method", "vanilla", "method"),
        ("more", 1, "more"),
        ("sanity", {"noise.l2": {"value": None, "bar": 0.1, "passed": True}}, "sanity.noise.l2.value"),
    ],
)
def test_damaged_files_are_refused_by_their_key(tmp_path, key, value, named):
    path = tmp_path / "metrics.json"
    write_metrics(path, MEASURED)
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {key: value}), encoding="utf-8")
    with pytest.raises(InputError, match=rf"metrics\.json: {named}: "):
        read_metrics(path)


def test_a_failed_check_stands_beside_the_numbers_that_it_spoils():
    assert MEASURED.doubts("autoattack.l2") == ["noise.l2"]
    assert MEASURED.doubts("clean") == MEASURED.doubts("foolbox.l0_fmn") == []
    assert MEASURED.model_copy(update={"sanity": {}}).doubts("autoattack.l2") == []  # nothing was checked
