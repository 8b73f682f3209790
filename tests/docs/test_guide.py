"""Laws of the README and the guide: a block of code is run, or its commands are held to what they call; else it says why not."""

import argparse
import json
import re
import shutil
import subprocess

import pytest
import typer
import yaml
from dvc.cli.parser import get_main_parser
from guide import PAGES, ROOT, blocks_of, commands_of
from pydantic import TypeAdapter

from stages.cli import app
from stages.params.architectures import ArchitectureParams
from stages.params.check import Named, check
from stages.params.methods import METHOD
from stages.params.reading import Params
from stages.params.targets import TARGET

GIT = {"add", "checkout", "clone", "commit", "diff", "pull", "push"}
SECTIONS = {"architectures": TypeAdapter(ArchitectureParams), "targets": TARGET, "methods": METHOD}
BLOCKS = [block for page in PAGES for block in blocks_of(page) if block.language and not block.reason]
NAMED = {"dataset": "dataset", "architecture": "architecture", "method": "method", "source": "targets"}


def of_language(language):
    return [pytest.param(block, id=str(block)) for block in BLOCKS if block.language == language]


def test_every_block_is_of_a_language_that_is_looked_at():
    assert {block.language for block in BLOCKS} <= {"sh", "python", "yaml", "json"}
    assert len(of_language("sh")) > 15


@pytest.mark.parametrize("block", of_language("sh"))
def test_commands_are_what_they_call(block, monkeypatch):
    monkeypatch.chdir(ROOT)
    commands = list(commands_of(block.code))
    assert commands
    for words in commands:
        CHECKED[words[0]](words[1:])


def check_pag(words):
    """The command takes these options, and names what params have."""
    command, name, words = typer.main.get_command(app), "pag", list(words)
    context = command.make_context(name, [], resilient_parsing=True)
    while hasattr(command, "get_command") and words and not words[0].startswith("-"):
        name = words.pop(0)
        command = command.get_command(context, name)
        assert command is not None, f"there is no command {name}"
    if hasattr(command, "get_command"):  # an option of `pag` itself
        known = {option for each in command.get_params(context) for option in each.opts}
        assert set(words) <= known
        return
    context = command.make_context(name, words)
    given = context.params
    names = {what: given[option] for option, what in NAMED.items() if given.get(option)}
    if given.get("base"):
        names["method"] = f"{given['base']}_with_{given['targets']}"
    if "dataset" in names and names["dataset"] != "NAME":
        check(Params(overrides=given.get("set_") or ()), named=Named(**names))


def check_dvc(words):
    """DVC has the command with these options, and what is overridden is possible."""
    try:
        get_main_parser().parse_args(words)
    except (SystemExit, argparse.ArgumentError) as error:
        raise AssertionError(f"dvc {' '.join(words)}: {error}") from None
    assigned = [words[i + 1] for i, word in enumerate(words) if word == "-S"]
    for choice in swept(assigned) if "--queue" in words else [assigned]:
        check(Params(overrides=choice))


def swept(assigned):
    """A queue's experiments: each of the values that are given with commas."""
    choices = [[]]
    for assignment in assigned:
        key, _, value = assignment.partition("=")
        values = [value] if value.startswith(("[", "{")) else value.split(",")
        choices = [[*choice, f"{key}={one}"] for choice in choices for one in values]
    return choices


def check_make(words):
    targets = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[1].split()
    assert [word for word in words if "=" not in word] == [words[-1]] or not words
    assert words[-1] in targets


def check_git(words):
    assert words[0] in GIT


def check_script(words):
    assert (ROOT / next(word for word in words if not word.startswith("-"))).exists()


def check_torchrun(words):
    check_pag(words[words.index("pag") + 1 :])


CHECKED = {
    "pag": check_pag, "dvc": check_dvc, "make": check_make, "git": check_git, "python": check_script, "bash": check_script,
    "torchrun": check_torchrun,
}  # fmt: skip


@pytest.mark.parametrize("block", of_language("yaml"))
def test_parameters_are_possible(block):
    for section, entries in yaml.safe_load(block.code).items():
        for content in entries.values():
            SECTIONS[section].validate_python(content)


@pytest.mark.parametrize("block", of_language("json"))
def test_json_can_be_read(block):
    json.loads(block.code)


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in PAGES])
def test_links_within_the_repository_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith(("http", "mailto:")) or (page.parent / target).exists(), f"{page.name}: {target}"


def test_messages_of_troubleshooting_are_told_by_the_code():
    """What a reader looks up is what the program says."""
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    rows = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("| `")]
    quoted = [message for row in rows for message in re.findall(r"`([^`]+)`", row)]
    code = "".join(
        re.sub(r'"\s*\n\s*f?"', "", path.read_text(encoding="utf-8"))
        for folder in ("pag", "stages")
        for path in (ROOT / folder).rglob("*.py")
    ).lower()
    assert len(quoted) > 15
    for message in quoted:
        for part in message.lower().split("…"):
            words = part.strip(" '\"")
            assert words in code, message


@pytest.mark.skipif(shutil.which("mkdocs") is None, reason="MkDocs is not installed")
def test_the_guide_is_built_without_a_warning(tmp_path):
    command = ["mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {page.stem for page in PAGES if page.parent.name == "docs"} - {"index"}
    assert pages <= {path.name for path in (tmp_path / "site").iterdir()}
    index = (tmp_path / "site/index.html").read_text(encoding="utf-8")
    loaded = re.findall(r'(?:<script[^>]*src|<link[^>]*rel="stylesheet"[^>]*href)="([^"]+)"', index)
    assert loaded
    assert not [url for url in loaded if url.startswith(("http", "//"))]
