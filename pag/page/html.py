"""The report as a page in one file, which a browser opens from the file system, without a network."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from pag.page.report import Report

__all__ = ["render_html"]


def render_html(report: Report) -> str:
    """The page: figures, styles and scripts inside, nothing from outside but `times.js`, which may stand beside it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(_resource("page.html.jinja"))
    return template.render(report=report, css=_resource("page.css"), script=_resource("page.js"))


def _resource(name: str) -> str:
    return files("pag.page").joinpath(name).read_text(encoding="utf-8")
