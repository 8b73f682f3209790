"""Laws of `import pag`: it costs no torch, offers what its stub says, and each name is documented."""

import ast
import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import pag
from stages.digests import ROOT, sources

STUB = Path(pag.__file__).with_suffix(".pyi")


def test_importing_the_package_imports_no_torch():
    code = "import sys, pag; assert pag.__all__; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"torch", "numpy", "pydantic", "zarr", "scipy"} & set(modules)
    assert [name for name in modules if name.startswith("pag")] == ["pag"]


def test_the_stub_is_what_a_type_checker_takes_for_exported_and_is_sorted():
    imports = ast.parse(STUB.read_text(encoding="utf-8")).body
    assert all(isinstance(node, ast.ImportFrom) and len(node.names) == 1 for node in imports)
    assert all(node.names[0].asname == node.names[0].name for node in imports)
    assert len({node.names[0].name for node in imports}) == len(imports) == len(pag.__all__)
    assert (STUB.parent / "py.typed").exists()


def test_what_the_package_offers_is_no_code_of_a_stage():
    """So a new name re-runs nothing."""
    run = {path.relative_to(ROOT).as_posix() for path in sources(ROOT / "stages/train.py")}
    assert "pag/__init__.py" in run
    assert not run & {"pag/__init__.pyi", "pag/evaluation/module.py", "pag/targets/tensors.py", "pag/alignment/loss.py"}


@pytest.mark.parametrize("name", pag.__all__)
def test_a_name_is_what_its_module_exports_and_has_a_docstring(name):
    offered = getattr(pag, name)
    module = import_module(offered.__module__)
    assert name in module.__all__
    assert getattr(module, name) is offered
    assert inspect.getdoc(offered)
    assert not (STUB.parent / name).is_dir()  # a room of this name would take its place


def test_functions_say_what_they_take_and_raise():
    functions = [value for name in pag.__all__ if inspect.isfunction(value := getattr(pag, name))]
    assert len(functions) > 10
    for function in functions:
        told = inspect.getdoc(function)
        if len(inspect.signature(function).parameters) > 2 and "Args:" in told:
            assert all(f"{argument}" in told for argument in inspect.signature(function).parameters), function


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'alignment_los'"):
        pag.alignment_los  # noqa: B018
    assert set(pag.__all__) <= set(dir(pag))
