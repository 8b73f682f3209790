"""Which project files a module imports, directly or through others; read from the source, nothing is run."""

import ast
from pathlib import Path

__all__ = ["imported_files"]


def _module_file(name: str, root: Path) -> Path | None:
    path = root.joinpath(*name.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def _runs(statement: ast.stmt) -> bool:
    """Whether an import of the module runs the statement: not what is for type checkers, or imported when it is asked for."""
    if isinstance(statement, ast.If):
        return ast.unparse(statement.test) != "TYPE_CHECKING"
    return not (isinstance(statement, ast.FunctionDef) and statement.name == "__getattr__")


def _names(tree: ast.Module) -> set[str]:
    names = set()
    for node in (node for statement in tree.body if _runs(statement) for node in ast.walk(statement)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] in ("pag", "stages")}


def imported_files(start: Path, root: Path) -> set[Path]:
    """`start` and every file of `pag/` and `stages/` that it reaches, package `__init__` files included, relative to `root`."""
    found: set[Path] = set()
    queue = [start]
    while queue:
        path = queue.pop()
        if path in found:
            continue
        found.add(path)
        for name in _names(ast.parse(path.read_text(encoding="utf-8"))):
            file = _module_file(name, root)
            if file is not None:
                queue.append(file)
                queue += [p / "__init__.py" for p in file.parents if p != root and root in p.parents]
    return {path.relative_to(root) for path in found}
