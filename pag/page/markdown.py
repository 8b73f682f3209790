"""The report as Markdown: the answers, all tables and all lists."""

from pag.page.report import Entry, Item, Report, Table

__all__ = ["markdown_table", "render_markdown"]


def render_markdown(report: Report) -> str:
    """The answers, all tables and all lists."""
    parts = [f"# {report.title}"]
    parts += [f"**{_escaped(name)}** {_escaped(' '.join(sentences))}" for name, sentences in report.answers]
    for section in report.sections:
        if section.tables or section.items:
            parts.append(f"## {_escaped(section.title)}")
            parts += [markdown_table(table) for table in section.tables]
        if section.items:
            parts.append("\n".join(_markdown_item(item) for item in section.items))
    return "\n\n".join(parts) + "\n"


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


def _markdown_item(item: Item) -> str:
    return "\n".join([f"- {_escaped(item.text)}", *(f"  - `{command}`" for command in item.commands)])


def _markdown_entry(entry: Entry) -> str:
    text = f"**{_escaped(entry.text)}**" if entry.bold else _escaped(entry.text)
    details = (entry.detail, f"✗ {entry.doubt}" if entry.doubt else "")
    return " ".join([text, *(_escaped(detail) for detail in details if detail)])


def _line(entries: list[str]) -> str:
    return f"| {' | '.join(entries)} |"
