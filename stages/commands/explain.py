"""`explain`: what a word, a method, a source of targets or a key of params is, with its equation and present values."""

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from itertools import groupby

from pydantic import BaseModel
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from pag.base.errors import InputError
from stages.commands.console import console
from stages.commands.entries import Entry, entries_of
from stages.commands.explanations import OBJECTIVES, SOURCES, SYMBOLS, Explanation
from stages.params.grid import read_grid
from stages.params.methods import describe
from stages.params.reading import Params
from stages.reporting.glossary import GLOSSARY, term_of

__all__ = ["run"]

PLAIN = {
    "₂": "2",
    "₁": "1",
    "₀": "0",
    "∞": "inf",
    "λ": "lambda",
    "ε": "eps",
    "epsilon": "eps",
    "σ": "sigma",
    "(": "",
    ")": "",
}
LISTED = 12  # places of a key that are shown
WRITTEN = 60  # characters of a value
SUGGESTIONS = 5


def run(params: Params, name: str, dataset: str | None = None) -> None:
    """Prints all that has a name.

    Args:
        params: whose values are shown.
        name: a word of the glossary, short or in full, or a key of params, dotted where it is ambiguous.
        dataset: whose file is looked into; None: those of today's grid.

    Raises:
        InputError: nothing is called so; the sentence has names that are near.
    """
    book = _Book(params, read_grid(params).datasets if dataset is None else [dataset])
    wanted = _plain(name)
    words = book.words.get(wanted, [])
    keys = list(dict.fromkeys((*book.stores(words), *book.keys(wanted))))
    if not words and not keys:
        near = get_close_matches(wanted, book.names, SUGGESTIONS)
        told = f"; closest: {', '.join(map(repr, near))}" if near else f" in the glossary, {' or '.join(book.files)}"
        raise InputError(f"Nothing is called {name!r}{told}.")
    for word in words or book.words_of(keys):
        _print_word(book, word)
    _print_keys(book, keys)


def _plain(name: str) -> str:
    """A name as it is compared: `AT L₂`, `at-l2` and `at_l2` are one."""
    text = name.strip().lower()
    for symbol, letters in PLAIN.items():
        text = text.replace(symbol, letters)
    return re.sub(r"[\s\-+,=]+", "_", text).strip("_")


class _Book:
    """All that can be explained."""

    def __init__(self, params: Params, datasets: Sequence[str]) -> None:
        self.params, self.datasets = params, datasets
        elsewhere = [f"lambda.{name}" for name in params.datasets() if name not in datasets]
        every = (entry for of in (None, *datasets) for entry in entries_of(params, of))
        self.entries = [entry for entry in every if ".".join(entry.key.split(".")[:2]) not in elsewhere]

    @cached_property
    def words(self) -> Mapping[str, list[str]]:
        """The words of the glossary by their plain forms, short and in full, and by the names of their sources."""
        found: dict[str, list[str]] = {}
        for word, term in GLOSSARY.items():
            for name in {_plain(word), _plain(term.name)}:
                found.setdefault(name, []).append(word)
        for source, explanation in (*SOURCES.items(), *OBJECTIVES.items()):
            found.setdefault(source, []).append(explanation.word)
        return {name: list(dict.fromkeys(words)) for name, words in found.items()}

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """What tables call each method, `methods.NAME` of a file, by `FILE: KEY`."""
        return {
            f"{entry.file}: {entry.key}": describe(self.params, dataset, entry.key.partition(".")[2]).label
            for dataset in self.datasets
            for entry in self.entries
            if entry.file == self.params.dataset(dataset).name and re.fullmatch(r"methods\.\w+", entry.key)
        }

    @property
    def files(self) -> list[str]:
        """The names of the files."""
        return list(dict.fromkeys(entry.file for entry in self.entries))

    @cached_property
    def names(self) -> list[str]:
        """All that can be asked for."""
        last = (entry.key.rpartition(".")[2] for entry in self.entries)
        return list(dict.fromkeys([*self.words, *map(_plain, self.labels.values()), *last]))

    def label(self, entry: Entry) -> str:
        """What tables call a method; empty for any other key."""
        return self.labels.get(f"{entry.file}: {entry.key}", "")

    def keys(self, wanted: str) -> list[Entry]:
        """The keys of a name, by their last part, by more of it, or by what tables call a method."""
        found = [
            entry
            for entry in self.entries
            if wanted
            and (entry.key == wanted or entry.key.endswith(f".{wanted}") or _plain(self.label(entry)) == wanted)
        ]
        methods = any(self.label(entry) for entry in found)  # which are shown with their λ
        return [entry for entry in found if not (methods and entry.key.startswith("lambda."))]

    def stores(self, words: Sequence[str]) -> list[Entry]:
        """The sections of targets whose source a word is."""
        kinds = [kind for kind, explanation in SOURCES.items() if explanation.word in words]
        return [
            entry
            for entry in self.entries
            if entry.key.startswith("targets.") and getattr(entry.value, "source", None) in kinds
        ]

    def words_of(self, keys: Sequence[Entry]) -> list[str]:
        """The words that explain methods: of their labels."""
        terms = (term_of(self.label(entry)) for entry in keys if self.label(entry))
        return list(dict.fromkeys(term.short for term in terms if term is not None))


def _print_word(book: _Book, word: str) -> None:
    """What a word means, its equation, and where it comes from."""
    out, term = console(), GLOSSARY[word]
    out.print(f"[bold]{escape(term.short)}[/bold]{'' if term.name == term.short else f': {escape(term.name)}'}")
    out.print(Padding(f"{escape(term.meaning)} {_source(term.where)}", (0, 0, 0, 2), expand=False))
    for explanation in _explanations(word):
        for line in explanation.equation:
            out.print(Padding(f"[cyan]{escape(line)}[/cyan]", (0, 0, 0, 6), expand=False))
        if explanation.module:
            out.print(Padding(f"[dim]{explanation.module}[/dim]", (0, 0, 0, 2), expand=False))
    out.print()


def _source(where: str) -> str:
    if where.startswith(("section", "appendix")):
        return f"(The paper's {escape(where)}.)"
    return f"({escape(where[0].upper() + where[1:])}.)"


def _explanations(word: str) -> Iterator[Explanation]:
    every = (*OBJECTIVES.values(), *SOURCES.values(), *SYMBOLS.values())
    yield from (explanation for explanation in every if explanation.word == word)


def _print_keys(book: _Book, keys: Sequence[Entry]) -> None:
    """Sections with their keys; plain keys that mean the same together, with the value at each place."""
    for entry in keys:
        if entry.is_section:
            _print_section(book, entry)
    plain = sorted((entry for entry in keys if not entry.is_section), key=lambda entry: entry.meaning)
    for meaning, places in groupby(plain, key=lambda entry: entry.meaning):
        _print_places(meaning, list(places))


def _print_section(book: _Book, section: Entry) -> None:
    out, label = console(), book.label(section)
    out.print(f"[bold]{section.file}: {section.key}[/bold]{f', in tables {escape(label)}' if label else ''}")
    about = section.meaning or _docstring(section.value)
    if about:
        out.print(Padding(escape(about), (0, 0, 0, 2), expand=False))
    rows: list[tuple[str, str, str]] = []
    for entry in book.entries:
        key = entry.key.removeprefix(f"{section.key}.")
        unset = "." in key and entry.value is None
        if entry.file == section.file and key != entry.key and not entry.is_section and not unset:
            rows.append((key, _written(entry.value), escape(entry.meaning)))
    rows += [(key, _written(value), "λ, the alignment weight.") for key, value in _lambdas(book, section)]
    table, told = _table(), any(meaning for *_, meaning in rows)
    for key, value, meaning in rows:
        table.add_row(key, value, *([meaning] if told else []))  # an empty column would have a value cut
    out.print(Padding(table, (0, 0, 1, 2), expand=False))


def _lambdas(book: _Book, section: Entry) -> Iterator[tuple[str, object]]:
    """λ of a method on its data set, with each architecture that has one."""
    kind, _, name = section.key.partition(".")
    dataset = section.file.removeprefix("params/").removesuffix(".yaml")
    if kind != "methods" or "." in name:
        return
    for entry in book.entries:
        if re.fullmatch(rf"lambda\.{dataset}\.\w+\.{name}", entry.key):
            yield f"{entry.file}: {entry.key}", entry.value


def _print_places(meaning: str, places: Sequence[Entry]) -> None:
    out = console()
    name = places[0].key.rpartition(".")[2]
    out.print(f"[bold]{name}[/bold]")
    if meaning:
        out.print(Padding(escape(meaning), (0, 0, 0, 2), expand=False))
    table = _table()
    for entry in places[:LISTED]:
        table.add_row(f"{entry.file}: {entry.key}", _written(entry.value))
    if len(places) > LISTED:
        table.add_row(f"and {len(places) - LISTED} more", "")
    out.print(Padding(table, (0, 0, 1, 2), expand=False))


def _table() -> Table:
    return Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))


def _docstring(value: object) -> str:
    if not isinstance(value, BaseModel):
        return ""
    return " ".join((type(value).__doc__ or "").split())


def _written(value: object) -> str:
    """As YAML has it."""
    text = "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return escape(text if len(text) <= WRITTEN else f"{text[:WRITTEN]}…")
