"""Laws of `pag explain`: every key says what it does, every word is explained, and what is not known has its neighbours told."""

from typing import get_args

import pytest
from typer.testing import CliRunner

from pag.base.errors import InputError
from pag.base.vocabulary import ObjectiveName, SourceKind
from stages.cli import app
from stages.commands.entries import entries_of
from stages.commands.explanations import OBJECTIVES, SOURCES, SYMBOLS
from stages.digests import ROOT
from stages.params.architectures import ArchitectureParams
from stages.params.check import DatasetParams, MainParams
from stages.params.reading import Params
from stages.params.section import Section
from stages.reporting.glossary import GLOSSARY

PARAMS = Params()
ENTRIES = [entry for of in (None, *PARAMS.datasets()) for entry in entries_of(PARAMS, of)]


def told(name, *options):
    result = CliRunner().invoke(app, ["explain", name, *options])
    assert result.exit_code == 0, result.exception
    return result.stdout


def below(model):
    for part in model.__subclasses__():
        yield part
        yield from below(part)


OF_PARAMS = {part for part in below(Section) if part.__module__.startswith("stages.params.")}
SECTIONS = {*OF_PARAMS, ArchitectureParams}


@pytest.mark.parametrize("section", sorted(SECTIONS, key=lambda of: of.__qualname__))
def test_every_key_of_every_section_says_what_it_does(section):
    assert {MainParams, DatasetParams} <= SECTIONS
    silent = [
        name for name, field in section.model_fields.items() if not (field.description or "").strip().endswith(".")
    ]
    assert silent == []


def test_every_key_that_stands_in_a_file_is_among_those_that_are_explained():
    def keys(content, above=""):
        for name, value in content.items():
            yield f"{above}{name}"
            if isinstance(value, dict):
                yield from keys(value, f"{above}{name}.")

    for file in (PARAMS.main, *map(PARAMS.dataset, PARAMS.datasets())):
        explained = {entry.key for entry in ENTRIES if entry.file == file.name}
        assert [key for key in keys(file.content) if key not in explained] == []


@pytest.mark.parametrize("word", GLOSSARY)
def test_every_word_is_explained_by_its_short_and_its_full_name(word):
    term = GLOSSARY[word]
    for name in (term.short, term.name.upper()):
        assert " ".join(term.meaning.split()[:6]) in told(name)


def test_equations_are_of_all_objectives_and_sources_and_of_modules_that_are_there():
    assert set(OBJECTIVES) == set(get_args(ObjectiveName)) - {"unknown"}
    assert set(SOURCES) == set(get_args(SourceKind)) - {"imported"}
    for explanation in (*OBJECTIVES.values(), *SOURCES.values(), *SYMBOLS.values()):
        assert explanation.word in GLOSSARY
        assert not explanation.module or (ROOT / explanation.module).is_file()


def test_a_method_is_told_with_its_equation_and_its_numbers():
    for name in ("at_l2", "AT L₂", "at-l2"):
        text = told(name)
        assert "eq. (3)" in text
        assert "params/digits.yaml: methods.at_l2, in tables AT L₂" in text
        assert any(line.split()[:2] == ["eps", "0.9"] for line in text.splitlines())
    assert "lambda.digits.resnet8.score_based  2.0" in told("SBG")
    assert "targets.score_based" in told("SBG")


def test_a_key_is_told_with_its_value_wherever_it_stands():
    text = told("timestep", "--set", "params/digits.yaml:targets.score_based.timestep=499")
    values = dict(line.split()[-2:] for line in text.splitlines() if "params/digits.yaml: " in line)
    assert values == {"targets.score_based.timestep": "499", "evaluation.alignment.timestep": "500"}
    assert "methods" not in told("training.epochs")
    assert "params/cifar10.yaml" in told("epochs", "--dataset", "cifar10")


def test_a_name_that_is_not_known_has_its_neighbours_told():
    for name, near in {"relativ_step": "relative_step", "kernle": "kernel", "aligned_margn": "aligned_margin"}.items():
        with pytest.raises(InputError, match=f"closest: .*'{near}'"):
            app(["explain", name], standalone_mode=False)
    with pytest.raises(InputError, match="Nothing is called 'xyzzy' in the glossary"):
        app(["explain", "xyzzy"], standalone_mode=False)


@pytest.mark.parametrize("name", ["", " ", "()", "-"])
def test_a_name_without_letters_is_no_name(name):
    with pytest.raises(InputError, match="Nothing is called"):
        app(["explain", "--", name], standalone_mode=False)


def test_no_markup_is_made_of_a_name():
    with pytest.raises(InputError, match=r"Nothing is called '\[bold\]'"):
        app(["explain", "[bold]"], standalone_mode=False)


def test_values_of_keys_without_a_sentence_are_whole():
    assert "0.175" in told("validation_attack.threats")
