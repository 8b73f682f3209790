"""Laws of digests: only what runs makes a difference, and what a stage imports is found."""

import pytest

from stages.digests import ROOT, normal_form, of_stage, sources

SOURCE = '''"""Module."""

X = 1
"""What X is."""


class A:
    """Class."""

    y: int = 2  # a comment


def f(a, b=f"{X!r} and {X:>{X}}"):
    """Function."""
    return (a +
            b)
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Module."""\n', ""),
        ('"""Module."""', '"""Another."""\n# and a comment'),
        ('    """Function."""\n', ""),
        ("return (a +\n            b)", "return (a + b)"),
        ("  # a comment", ""),
        ('"""What X is."""\n', ""),
        ("\n\n\ndef", "\n\ndef"),
    ],
)
def test_comments_docstrings_and_layout_make_no_difference(old, new):
    assert old in SOURCE
    assert normal_form(SOURCE.replace(old, new)) == normal_form(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("X = 1", "X = 2"),
        ("return (a", "return -(a"),
        ("{X!r}", "{X}"),
        (" and ", " or "),
        ("A:", "B:"),
        ("a +", "a -"),
    ],
)
def test_what_runs_does(old, new):
    assert normal_form(SOURCE.replace(old, new)) != normal_form(SOURCE)


def test_normal_form_of_f_strings_is_that_of_older_versions_of_python():
    """There an f-string was one token; from 3.12 on it is several."""
    assert 'f"{X!r} and {X:>{X}}"' in normal_form(SOURCE).split("\n")


def names(stage):
    return {line.split()[1] for line in of_stage(stage)}


def test_a_stage_runs_what_it_imports_and_the_data_files_that_are_named():
    assert {
        "stages/train.py",
        "pag/training/objectives/alignment.py",
        "pag/attacks/threats.py",
        "pag/base/__init__.py",
    } <= names("train")
    assert {"stages/reporting/paper.yaml", "pag/page/page.html.jinja"} <= names("report")
    assert "pag/attacks/foolbox.py" in names("evaluate")  # imported in a function
    assert not names("prepare") & {"pag/attacks/pgd.py", "stages/train.py", "stages/cli/__init__.py"}


def test_a_network_of_another_family_is_no_code_of_a_stage():
    for stage in ("train", "evaluate"):
        assert not [name for name in names(stage) if name.endswith(("vit.py", "resnet.py", "wide_resnet.py"))]
    assert ROOT / "pag/networks/architectures/patches.py" in sources(ROOT / "pag/networks/architectures/vit.py")
