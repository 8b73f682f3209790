"""The code blocks of the README and of the guide: what is in them, and why some are not run."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BESIDE = ("README.md", "CONTRIBUTING.md", "examples/README.md", "extensions/README.md")
PAGES = [*(ROOT / name for name in BESIDE), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<language>\w*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
SEPARATORS = {"&&", "||", ";", "|", ";;"}


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: that it is on.
        line: of its first line, from 1.
        language: after the backquotes; empty for what is no code.
        code: the text.
        reason: why it is not run; empty where it is.
    """

    page: Path
    line: int
    language: str
    code: str
    reason: str

    def __str__(self):
        return f"{self.page.relative_to(ROOT).as_posix()}:{self.line}"


def blocks_of(page):
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page, text[: m.start("code")].count("\n") + 1, m["language"], m["code"], m["reason"] or "")
        for m in BLOCK.finditer(text)
    ]
    assert 2 * len(found) == len(re.findall(r"^```", text, re.MULTILINE)), f"{page} has a block that is not closed"
    return found


def commands_of(code):
    """The commands of a shell block, each as its words."""
    for line in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split, lexer.commenters = True, "#"
        words = []
        for word in [*lexer, ";"]:
            if word in SEPARATORS:
                if words:
                    yield words[: words.index(">")] if ">" in words else words
                words = []
            else:
                words.append(word)
