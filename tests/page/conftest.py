"""A page of every kind of result, and a browser to try it in."""

import shutil
from pathlib import Path

import artifacts
import pytest

from stages import report, visualize
from stages.params.reading import Params
from stages.paths import REPORT

GRID = ("digits", "resnet8")
PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
FOR_TESTS = [
    "params/digits.yaml:figures.images=2", "params/digits.yaml:evaluation.targeted.images=2",
    "grid.baselines=[vanilla,at_l2,fgsm_linf]", "grid.aligned_margin.methods=[aligned_margin_l2]", "grid.lambdas=[0.5]",
    "grid.aligned=[class_mean,nearest_neighbor_own_class,kernel,score_based]",
]  # fmt: skip


@pytest.fixture(scope="session")
def chromium():
    """The system's Chromium: a browser of the driver's own is downloaded, and not everywhere can be."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium).")
    return found


@pytest.fixture(scope="session")
def browser(chromium):
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield launched
        launched.close()


def _with_cost_and_a_failed_check(metrics):
    failed = metrics["method"]["name"] == "class_mean"
    check = {"value": 0.7 if failed else 0.0, "bar": 0.01, "passed": not failed}
    return metrics | {"training_forwards": 1e5, "sanity": {"black_box.linf": check}}


@pytest.fixture(scope="session")
def page_path(tmp_path_factory):
    """The page of the default grid, with made-up results."""
    folder, params = tmp_path_factory.mktemp("page"), Params(PARAMS_FILE, FOR_TESTS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        artifacts.write_all(params, *GRID, extended=_with_cost_and_a_failed_check)
        visualize.run(params, *GRID)
        report.run(params)
    return folder / REPORT / "index.html"


@pytest.fixture
def opened(browser, page_path):
    """Opens the page in a window of a width and a colour scheme; at the end nothing may have been complained of."""
    contexts, complaints = [], []

    def open_page(width=1600, scheme="light", height=900):
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console", lambda message: complaints.append(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(page_path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
