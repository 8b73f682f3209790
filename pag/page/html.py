"""The report as a page in one file, which a browser opens from the file system, without a network.

A content security policy lets run what is in the page and `run.js` beside it, and nothing else.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup, escape

from pag.page.report import Chart, Report, Term

__all__ = ["render_html"]

TEMPLATES = (
    "page.html.jinja",
    "answer.html.jinja",
    "chart.html.jinja",
    "explorer.html.jinja",
    "picture.html.jinja",
    "table.html.jinja",
    "what_was_run.html.jinja",
)
STYLES = ("page.css", "tables.css", "charts.css", "pictures.css", "explorer.css")
SCRIPTS = ("glossary.js", "tables.js", "charts.js", "explorer.js", "what_was_run.js")


def render_html(report: Report) -> str:
    """The page: figures, styles and scripts inside, nothing from outside but `run.js`, which may stand beside it."""
    environment = Environment(
        loader=DictLoader({name: _resource(name) for name in TEMPLATES}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["terms"] = _linked(report.glossary)
    environment.filters["png"] = _png
    environment.filters["drawn"] = _drawn
    style, script = ("\n".join(map(_resource, names)) for names in (STYLES, SCRIPTS))
    page = environment.get_template("page.html.jinja")
    return page.render(report=report, style=Markup(style), script=Markup(script), policy=_policy(style, script))


@cache
def _resource(name: str) -> str:
    return files("pag.page").joinpath(name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """What the browser is to allow; the page's own style and script by their digests."""
    sources = f"style-src {_digest(style)}; script-src {_digest(script)} 'self' file:"
    return f"default-src 'none'; img-src data:; {sources}; base-uri 'none'; form-action 'none'"


def _digest(text: str) -> str:
    """As a policy names an element by its content: what stands between its tags."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _png(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def _drawn(chart: Chart) -> Markup:
    """The chart's SVG as an image with a text of its own."""
    return Markup('<svg role="img" aria-label="{}"').format(chart.alt) + Markup(chart.svg.removeprefix("<svg"))


def _linked(glossary: Sequence[Term]) -> Callable[[str], Markup]:
    """A filter that makes the first of each word of the glossary in a text a link to where it is explained."""
    terms = {term.short: term for term in glossary if term.linked}
    words = "|".join(map(re.escape, sorted(terms, key=len, reverse=True)))
    pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)") if terms else None

    def link(text: str) -> Markup:
        linked: set[str] = set()
        parts, end = [], 0
        for match in pattern.finditer(text) if pattern else ():
            if match[0] in linked:
                continue
            linked.add(match[0])
            word = Markup('<a class="term" href="#{}">{}</a>').format(terms[match[0]].anchor, match[0])
            parts += [escape(text[end : match.start()]), word]
            end = match.end()
        return Markup("").join([*parts, escape(text[end:])])

    return link
