"""Laws of the glossary: it explains every method of params, each word has a place of its own, and it does not need torch."""

import subprocess
import sys

import pytest

from pag.page.html import render_html
from pag.page.report import Answer, Report
from stages.params.methods import describe, method_section
from stages.params.reading import Params
from stages.reporting.glossary import GLOSSARY, term_of

PARAMS = Params()


@pytest.mark.parametrize("dataset", PARAMS.datasets())
def test_every_method_begins_with_a_word_of_the_glossary(dataset):
    names = PARAMS.dataset(dataset).content["methods"]
    built = [name for name in names if method_section(PARAMS, dataset, name).label is None]  # of its parts' words
    labels = [describe(PARAMS, dataset, name).label for name in built]
    assert [label for label in labels if term_of(label) is None and not label.startswith("imported")] == []


def test_words_are_told_with_where_they_come_from_and_have_places_of_their_own():
    anchors = [term.anchor for term in GLOSSARY.values()]
    assert len(set(anchors)) == len(anchors)
    for term in GLOSSARY.values():
        assert term.where
        assert term.meaning.endswith(".")


def test_words_that_stand_in_every_sentence_are_explained_and_not_linked():
    page = render_html(Report("t", (Answer("place", "OI at ε."),), glossary=(GLOSSARY["OI"], GLOSSARY["ε"])))
    assert 'class="term" href="#term-oi"' in page
    assert f'id="{GLOSSARY["ε"].anchor}"' in page
    assert f'href="#{GLOSSARY["ε"].anchor}"' not in page


def test_it_does_not_import_torch():
    code = "import sys, stages.reporting.glossary; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
