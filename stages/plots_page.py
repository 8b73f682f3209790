"""`plots_page`: the page that `dvc plots show` fills, with Vega's scripts inside, so that plots are drawn offline."""

from pathlib import Path

import vl_convert

from pag.base.files import written_whole
from stages.params.reading import Params
from stages.paths import REPORT
from stages.run import stage_run

__all__ = ["PLOTS_PAGE", "run"]

PLOTS_PAGE = REPORT / "plots.html"  # `plots.html_template` in .dvc/config
VEGA_LITE = "5.20"  # the templates of DVC and of .dvc/plots are of version 5
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
{refresh_tag}
<title>Plots</title>
<script>(function () {
SCRIPTS
})();</script>
</head>
<body>
{plot_divs}
</body>
</html>
"""


def run(_: Params) -> Path:
    """Writes `data/report/plots.html`."""
    with stage_run("plots_page", outputs=[PLOTS_PAGE]), written_whole(PLOTS_PAGE) as partial:
        scripts = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
        partial.write_text(PAGE.replace("SCRIPTS", scripts), encoding="utf-8")
    return PLOTS_PAGE
