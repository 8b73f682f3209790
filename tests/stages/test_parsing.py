"""Laws of reading YAML: a value is what DVC's parser makes of it, and what hides a value is refused in one sentence."""

import pytest
from dvc.utils.serialize import parse_yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from refusals import outcome

from pag.base.errors import InputError
from stages.params.parsing import parse
from stages.params.reading import Params

SCALARS = [
    "yes",
    "no",
    "on",
    "off",
    "0o10",
    "1_000",
    "12:30",
    "1:2:3",
    "1e-3",
    "1.e5",
    "~",
    "null",
    "True",
    "0x1F",
    "0b1",
    ".5",
    "+1",
    "-",
    "=",
]
REFUSED = {
    "seed: 1\na: {b: 1,\n  c: 2, b: 3}": "has the key a.b twice, the second time in line 3",
    "seed: 1\nseed: 1": "has the key seed twice, the second time in line 2",
    "seed: 010": "has the number 010 in line 1; write it without leading zeros",
    "a: &x [1, 1]\nb: [*x, *x]": "has an anchor or alias (&, *) in line 1",
    "a: *x": "has an anchor or alias (&, *) in line 1",
    "a: !!python/object/apply:os.system [true]": "has the tag tag:yaml.org,2002:python/object/apply:os.system in line 1",
    "a: !!set {x}": "has the tag",
    "a: " + 200_000 * "[" + 200_000 * "]": "has more than 32 levels in line 1",
    200_000 * "{a: ": "has more than 32 levels in line 1",
    "a: .nan": "has at a nan, which is no finite number",
    "a: [1, -.inf]": "has at a.1 -inf, which is no finite number",
    "a: 1e999": "has at a inf",
    "a: 2001-01-01": "has at a 2001-01-01, a date",
    "a: 2001-99-01": "is not valid YAML",
    "a: " + 5000 * "9": "is not valid YAML",
    "a: {1: 2}": "has the key a.1, which is no text",
    "a: {[1]: 2}": "has a key that is no text in line 1",
    "a: 1\n---\nb: 2": "is not valid YAML: but found another document, line 2",
    "a:\n\t- 1": "is not valid YAML: found character that cannot start any token, line 2",
    "a: @x": "is not valid YAML",
    "a: [1": "is not valid YAML",
    'a: "\\0"': "has at a text with a zero byte",
    "\0": "is not valid YAML",
    "\udcff": "is not valid YAML",
}


@pytest.mark.parametrize(("text", "told"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_hides_a_value_is_refused(text, told, tmp_path):
    with pytest.raises(InputError) as error:
        parse(text, "params.yaml")
    assert str(error.value).startswith(f"params.yaml {told}")
    assert str(error.value).endswith(".")
    assert str(error.value).isprintable()


@pytest.mark.parametrize(
    "content", [b"", b"# nothing", b"- 1", b"3", "seed: 1".encode("utf-16"), b"\xff: 1", b"seed: 1\nseed: 2"]
)
def test_a_file_without_sections_is_named(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"params\.yaml (holds no sections|is not valid YAML|has the key seed twice)"):
        Params(path)


def same(a, b):
    """Equal, with the same types: True is not 1."""
    return repr(a) == repr(b)


texts = st.one_of(
    st.sampled_from(SCALARS),
    st.from_regex(r"[-+]?[0-9][0-9_.:eExXo+-]{0,6}", fullmatch=True),
    st.text("[]{},:-?!&*#|>'\"%@`ab01. \n", max_size=12),
)


@settings(max_examples=100)
@given(texts)
@example("010")
@example("%YAML 1.1\n---\nyes")
def test_a_value_is_read_as_dvc_reads_it_or_refused(text):
    ours, sentence = outcome(parse, f"a: {text}", "params.yaml")
    assert sentence is not None or same(ours or {}, parse_yaml(f"a: {text}", "params.yaml"))


@settings(max_examples=60)
@given(st.text("[]{},:-?!&*#|>'\"%@`=~+.\n\0ab01 seed", max_size=20))
@example("=@x")
@example("seed=[1")
@example("seed.\nx=1")
@example("+=1")
@example("~")
@example("params/digits.yaml:=")
@example("params/../params/digits.yaml:seed=1")
def test_any_override_is_taken_or_refused_in_one_sentence(assignment):
    outcome(lambda: Params(overrides=[assignment]))
