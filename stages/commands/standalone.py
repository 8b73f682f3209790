"""A network as one file of Python that needs torch alone: the sources of its class, of what that imports, and of `Classifier`."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pag.base.errors import InputError
from pag.networks.families import ARCHITECTURES, built_in, family_module
from stages.digests import file_of_module

__all__ = ["standalone_source"]

ERROR = '''class InputError(ValueError):
    """Options that do not fit each other or the images."""'''
WRAPPER = {"Classifier", "_per_channel"}


def standalone_source(name: str, architecture: Mapping[str, Any], image_shape: list[int], num_classes: int) -> str:
    """Source of a module whose class `name` makes the network without arguments, with pixels in [0, 1] as its input.

    Args:
        name: an identifier.
        architecture: `family`, `normalization` and the family's options, as a classifier's `config.json` has them.
        image_shape: `(ch, H, W)`.
        num_classes: C.

    Raises:
        InputError: the family is a class of one's own, whose imports are not known.
    """
    options = dict(architecture)
    family, normalization = options.pop("family"), options.pop("normalization")
    if not built_in(family):
        raise InputError(f"The architecture family {family!r} is a class of your own; add its source by hand.")
    modules = [*_modules(family_module(family))]
    wrapper = _tree(ARCHITECTURES)
    imports = _imports([tree for _, tree in (*modules, wrapper)])
    parts = [ERROR, *(part for source, tree in modules for part in _statements(source, tree))]
    parts += [part for part in _statements(*wrapper) if part.split("(")[0].split()[-1] in WRAPPER]
    arguments = {"image_shape": tuple(image_shape), "num_classes": num_classes, **options}
    written = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
    parts.append(f'''class {name}(Classifier):
    """The network under its name, on pixels in [0, 1]."""

    def __init__(self) -> None:
        network = {_class_of(family)}({written})
        super().__init__(network, {image_shape[0]}, {normalization["mean"]!r}, {normalization["std"]!r})''')
    docstring = f'"""{name}: a classifier that includes its normalisation, for images of shape {tuple(image_shape)}."""'
    return "\n\n\n".join([f"{docstring}\n\n{imports}", *parts]) + "\n"


def _tree(module: str) -> tuple[str, ast.Module]:
    file = file_of_module(module)
    assert file is not None
    source = Path(file).read_text(encoding="utf-8")
    return source, ast.parse(source)


def _modules(module: str) -> Iterator[tuple[str, ast.Module]]:
    """The sources of a family: first those of its own package that it imports."""
    source, tree = _tree(module)
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(f"{ARCHITECTURES}."):
            yield from _modules(node.module)
    yield source, tree


def _class_of(family: str) -> str:
    """The class of a built-in family, the first name in its module's `__all__`."""
    _, tree = _tree(family_module(family))
    names = next(node.value for node in tree.body if isinstance(node, ast.Assign) and _assigns(node, "__all__"))
    return str(ast.literal_eval(names)[0])


def _assigns(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets)


def _imports(trees: list[ast.Module]) -> str:
    """What the modules import from elsewhere, each name once."""
    whole: set[str] = set()
    names: dict[str, set[str]] = {}
    for node in (node for tree in trees for node in tree.body):
        if isinstance(node, ast.Import):
            whole |= {f"import {alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.module.startswith("pag."):
            names.setdefault(node.module, set()).update(alias.name for alias in node.names)
    lines = [f"from {module} import {', '.join(sorted(found))}" for module, found in sorted(names.items())]
    return "\n".join([*sorted(whole), *lines])


def _statements(source: str, tree: ast.Module) -> Iterator[str]:
    """The statements of a module but for its docstring, its imports and `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Expr | ast.Import | ast.ImportFrom) or _assigns(node, "__all__"):
            continue
        segment = ast.get_source_segment(source, node)
        assert segment is not None
        decorators = getattr(node, "decorator_list", [])
        above = [f"@{ast.get_source_segment(source, decorator)}" for decorator in decorators]
        yield "\n".join([*above, segment])
