"""Which code a stage runs, with a digest of each file: what DVC re-runs a stage by, and what its checkpoints are valid for.

What a stage runs is computed: its module, all modules of the project that it imports, directly or through others, and data files
that these name. A digest is of a normal form, the tokens without comments and docstrings: only what runs makes a difference.

Left out are this module and the command line. They decide no result: the command line hands a stage its arguments, which stand in
dvc.yaml, and checks params, whose values DVC tracks. What it sets before a stage is imported is counted as the stage's.
"""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

__all__ = [
    "PACKAGES",
    "ROOT",
    "digest_lines",
    "file_of_module",
    "normal_form",
    "of_file",
    "of_module",
    "of_stage",
    "sources",
]

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("pag", "stages", "extensions")
_BEFORE_EACH = ROOT / "pag/machine/arithmetic.py"
_LAYOUT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_NAMED = {tokenize.NEWLINE: "NEWLINE", tokenize.INDENT: "INDENT", tokenize.DEDENT: "DEDENT"}
_STARTS = {getattr(tokenize, name, None) for name in ("FSTRING_START", "TSTRING_START")}
_ENDS = {getattr(tokenize, name, None) for name in ("FSTRING_END", "TSTRING_END")}


def of_stage(stage: str) -> list[str]:
    """`<digest> <file>` of all that a stage runs, in the order of the files.

    Args:
        stage: a module of `stages`: `train`, or `commands/import_targets`.
    """
    return digest_lines(sources(ROOT / "stages" / f"{stage}.py") | sources(_BEFORE_EACH))


def digest_lines(files: set[Path]) -> list[str]:
    """`<digest> <file>` of files of the project, in their order."""
    return [f"{of_file(path)} {path.relative_to(ROOT)}" for path in sorted(files)]


def of_module(name: str) -> list[str]:
    """The same of a module that parameters name, `package.module` or `package.module:name`, with what it imports of the project.

    Of one that is not the project's it is the digest of the module alone; of one that is not there, none.
    """
    module = name.partition(":")[0]
    own = file_of_module(module)
    if own is not None:
        return digest_lines(sources(own))
    try:
        spec = find_spec(module)
    except ImportError:
        spec = None
    return [] if spec is None or spec.origin is None else [f"{of_file(Path(spec.origin))} {module}"]


@cache
def of_file(path: Path) -> str:
    """A digest of a file: of source in its normal form, of data as it is."""
    content = path.read_bytes()
    if path.suffix == ".py":
        content = normal_form(content.decode("utf-8")).encode()
    return hashlib.sha256(content).hexdigest()[:16]


def normal_form(source: str) -> str:
    """Python source as its tokens, one a line, without comments and docstrings; the same for every version of Python."""
    docstrings = set(_docstrings(ast.parse(source)))
    lines = source.splitlines(keepends=True)
    tokens: list[str] = []
    depth, start, after_docstring = 0, (0, 0), False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.start in docstrings or (after_docstring and token.type == tokenize.NEWLINE):
            after_docstring = token.type != tokenize.NEWLINE
            continue
        if token.type in _STARTS:  # from Python 3.12 on an f-string is several tokens
            depth, start = depth + 1, start if depth else token.start
        elif token.type in _ENDS:
            depth -= 1
            if depth == 0:
                tokens.append(_between(lines, start, token.end))
        elif depth == 0 and token.type not in _LAYOUT:
            tokens.append(_NAMED.get(token.type, token.string))
    return "\n".join(tokens)


def _between(lines: list[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    if start[0] == end[0]:
        return lines[start[0] - 1][start[1] : end[1]]
    return "".join([lines[start[0] - 1][start[1] :], *lines[start[0] : end[0] - 1], lines[end[0] - 1][: end[1]]])


def _docstrings(tree: ast.Module) -> Iterator[tuple[int, int]]:
    """Where strings that are statements begin: docstrings, and what documents an attribute."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.col_offset  # after spaces alone, so that bytes are characters


def sources(module: Path) -> set[Path]:
    """A module's file, those of the project that it imports, directly or through others, and the data files that they name."""
    found: set[Path] = set()
    queue = [module]
    while queue:
        path = queue.pop()
        if path in found or path == Path(__file__).resolve():
            continue
        found.add(path)
        if path.suffix == ".py":
            queue += _reached(path)
    return found


@cache
def _reached(path: Path) -> tuple[Path, ...]:
    """The files that a module imports or names itself, the packages above them included."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    files = [file for name in _imports(tree) if (file := file_of_module(name)) is not None]
    packages = [parent / "__init__.py" for file in files for parent in file.parents if ROOT in parent.parents]
    there = [package for package in packages if package.exists()]  # folders of one's own need not have one
    return (*files, *there, *_data_files(tree, path.parent))


def _imports(tree: ast.Module) -> set[str]:
    names = set()
    for node in (node for statement in tree.body if _runs(statement) for node in ast.walk(statement)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.partition(".")[0] in PACKAGES}


def _runs(statement: ast.stmt) -> bool:
    """Whether an import of the module runs the statement: not what is for type checkers, or imported when it is asked for."""
    if isinstance(statement, ast.If):
        return ast.unparse(statement.test) != "TYPE_CHECKING"
    return not (isinstance(statement, ast.FunctionDef) and statement.name == "__getattr__")


def file_of_module(name: str) -> Path | None:
    """The file of a module of the project, by its dotted name; None where there is none."""
    path = ROOT.joinpath(*name.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


def _data_files(tree: ast.Module, folder: Path) -> list[Path]:
    """Files beside the module, other than source, that a string in it names."""
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return [file for file in folder.iterdir() if file.is_file() and file.suffix != ".py" and file.name in strings]
