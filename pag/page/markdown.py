"""The report as Markdown: the answers, all tables and all lists."""

from pag.page.report import Entry, Findings, Report, Table

__all__ = ["markdown_table", "render_markdown"]


def render_markdown(report: Report) -> str:
    """The answers with their findings, and all tables."""
    parts = [f"# {report.title}"]
    for answer in report.answers:
        parts += [f"## {_escaped(answer.place)}", f"**{_escaped(answer.verdict)}** {_escaped(answer.basis)}".rstrip()]
        parts += [markdown_table(answer.table)] if answer.table else []
        parts += [_findings(found) for found in answer.findings]
    for section in report.sections:
        if section.tables:
            parts += [f"## {_escaped(section.title)}", *map(markdown_table, section.tables)]
    return "\n\n".join(parts) + "\n"


def _findings(found: Findings) -> str:
    return "\n".join([f"{_escaped(found.title)}:\n", *(f"- {_escaped(sentence)}" for sentence in found.sentences)])


def _escaped(text: str) -> str:
    """Text that Markdown shows as it stands, inside a table too."""
    for character in "\\`*_[]<>|":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", ", ")


def markdown_table(table: Table) -> str:
    """A table in Markdown, its caption above it."""
    lines = [
        _line(
            [_escaped(f"{column.name}, {column.detail}" if column.detail else column.name) for column in table.columns]
        )
    ]
    lines.append(_line([":--", *["--:"] * (len(table.columns) - 1)]))
    lines += [_line([_markdown_entry(entry) for entry in row]) for row in table.rows]
    return f"{_escaped(table.caption)}\n\n" + "\n".join(lines)


def _markdown_entry(entry: Entry) -> str:
    text = f"**{_escaped(entry.text)}**" if entry.bold else _escaped(entry.text)
    details = (entry.detail, f"✗ {entry.doubt}" if entry.doubt else "")
    commands = [f"`{command}`" for command in entry.commands]
    return " ".join([text, *(_escaped(detail) for detail in details if detail), *commands]).strip()


def _line(entries: list[str]) -> str:
    return f"| {' | '.join(entries)} |"
