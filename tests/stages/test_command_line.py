"""The rule of the command line: whatever it is given, it ends with status 0 or 2, and each mistake is a sentence on stderr."""

import contextlib
import io
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages.cli import main, running
from stages.params.reading import Params

COMMANDS = {
    "prepare": ["--dataset"],
    "train-diffusion": ["--dataset"],
    "score-targets": ["--dataset", "--split"],
    "heuristic-targets": ["--dataset", "--source"],
    "teacher-targets": ["--dataset", "--architecture", "--method"],
    "train": ["--dataset", "--architecture", "--method", "--lambda"],
    "evaluate": ["--dataset", "--architecture", "--method", "--lambda", "--workers", "--checkpoint", "--output"],
    "visualize": ["--dataset", "--architecture"],
    "report": [],
    "train-toy": [],
    "plots-page": [],
}
RIGHT = {
    "--dataset": "digits",
    "--architecture": "resnet8",
    "--method": "vanilla",
    "--source": "class_mean",
    "--split": "train",
}
WRONG = [
    "",
    "x",
    "..",
    "../digits",
    "digits/../digits",
    "-1",
    "nan",
    "1e9999",
    "a\nb",
    "$(touch sprung)",
    "é\udcff",
    "0" * 300,
    "[",
    "digits;",
]
PARAMS = Params()


def keys(content, above=""):
    for name, value in content.items():
        yield above + name
        if isinstance(value, dict):
            yield from keys(value, f"{above}{name}.")


KEYS = [*keys(PARAMS.main.content), *(f"params/digits.yaml:{key}" for key in keys(PARAMS.dataset("digits").content))]
VALUES = [
    "-1", "0", "1e300", "99999999999999999999", "x", "", "[]", "{}", "null", "true", "-0.5", "[1", "@x", "{a: 1, a: 2}", ".nan",
    "010", "&a [*a]", "!!set {x}", "2001-01-01", "[[]]", "~", "'", '"\\0"', "\udcff", "[" * 50, "\n",
]  # fmt: skip


@pytest.fixture(scope="module")
def called():
    """Stages do nothing but note that they were called."""
    noted = []
    with pytest.MonkeyPatch.context() as patch:
        stage = type("Stage", (), {"run": staticmethod(lambda *arguments: noted.append(arguments))})
        patch.setattr(running, "import_module", lambda name: stage)
        patch.setattr("pag.machine.arithmetic.set_arithmetic", lambda arithmetic: None)
        yield noted


def ended(arguments):
    """The status of the command, and what it said on stderr."""
    said = io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        patch.setattr(sys, "argv", ["pag", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
    return end.value.code or 0, said.getvalue()


def assert_sentences(said):
    """One for each mistake."""
    assert said.endswith("\n")
    for line in said[:-1].split("\n"):
        assert line.startswith("pag: ")
        assert line.endswith(".")
        assert line.isprintable()


def assert_rule(arguments, called):
    called.clear()
    status, said = ended(arguments)
    assert status in (0, 2), said
    assert (status == 0) == bool(called)
    assert "Traceback" not in said
    if said.startswith("pag: "):  # typer draws a box around what it finds itself
        assert_sentences(said)
    assert bool(said) == (status == 2)


@settings(max_examples=60)
@given(st.sampled_from(sorted(COMMANDS)), st.data())
def test_any_argument_is_taken_or_refused(called, command, data):
    arguments = [command]
    for option in COMMANDS[command]:
        right = RIGHT.get(option)
        value = data.draw(st.sampled_from([right, right, right, None, *WRONG]), label=option)
        arguments += [] if value is None else [f"{option}={value}"]
    assert_rule(arguments, called)
    assert not Path("sprung").exists()


@settings(max_examples=80)
@given(st.sampled_from(KEYS), st.sampled_from(VALUES), st.sampled_from(["", "", "~", "+"]))
@example("params/digits.yaml:data.split_seed", "4294967296", "")
@example("grid.datasets", "[$(touch sprung)]", "")
@example("data_root", '"\\0"', "")
def test_any_override_is_taken_or_refused(called, key, value, sign):
    assert_rule(["report", "--set", f"{sign}{key}={value}"], called)


@pytest.mark.parametrize(
    "content", [b"", b"seed: 1\nseed: 2", b"\xff\xfes\x00", b"- 1", b"a: &a [*a]", b"a: " + b"[" * 9999, bytes(9)]
)
@pytest.mark.parametrize("name", ["params.yaml", "params/digits.yaml"])
def test_any_file_of_parameters_is_taken_or_refused(called, tmp_path, name, content):
    (tmp_path / "params").mkdir()
    for file in ("params.yaml", "params/digits.yaml"):
        (tmp_path / file).write_bytes(content if file == name else Path(file).read_bytes())
    status, said = ended(["report", "--params", str(tmp_path / "params.yaml")])
    assert status == 2
    assert name in said
    assert_sentences(said)
