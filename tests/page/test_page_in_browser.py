"""Laws of the page in a browser: it opens from a file without a complaint, fits any window, and can be used without a pointer."""

import io

import numpy as np
import pytest
from PIL import Image

axe_module = pytest.importorskip("axe_playwright_python.sync_playwright")

WIDTHS = (360, 800, 1600, 2400)
SCHEMES = ("light", "dark")


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_nothing_is_cut_without_a_way_to_scroll(opened, width, scheme):
    page = opened(width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """[...document.querySelectorAll('main *')].filter((each) => {
            const style = getComputedStyle(each);
            return each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0
                && ['hidden', 'clip'].includes(style.overflowX) && !['svg', 'INPUT', 'SELECT'].includes(each.tagName);
        }).map((each) => each.outerHTML.slice(0, 120))"""
    )
    assert cut == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_screenshot_is_of_the_scheme_and_uses_the_width(opened, width, scheme):
    picture = np.asarray(Image.open(io.BytesIO(opened(width, scheme).screenshot())).convert("L")).astype(int)
    background = picture[:4].mean()
    assert background > 240 if scheme == "light" else background < 32
    drawn = np.flatnonzero((abs(picture - picture[0, -1]) > 40).any(axis=0))
    assert drawn[-1] > 0.8 * min(width, 1400)  # a line of text is no longer on a wider window


@pytest.mark.parametrize("width", [360, 1600])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(opened, width, scheme):
    """The rules of WCAG 2.2, A and AA, and axe's own good practice."""
    page = opened(width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    found = axe_module.Axe().run(page)
    told = [
        f"{violation['id']}: {node['html'][:160]} ({node['failureSummary']})"
        for violation in found.response["violations"]
        for node in violation["nodes"]
    ]
    assert told == []


def test_first_screen_has_question_answer_picture_and_table(opened):
    page = opened(1600)
    for selector in ("h1", ".verdict", ".picture img", ".answer table.sortable thead"):
        box = page.locator(selector).first.bounding_box()
        assert box is not None, selector
        assert box["y"] + box["height"] < 900, selector


def test_a_table_sorts_by_keyboard_numbers_largest_first(opened):
    page = opened()
    table = page.locator("table.sortable").first
    column = table.locator("thead th").filter(has_text="AA L₂")
    column.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert column.get_attribute("aria-sort") == "descending"
    index = column.evaluate("(head) => head.cellIndex")

    def values():
        texts = table.locator(f"tbody tr > :nth-child({index + 1})").all_text_contents()
        return [float(text.strip().split("%")[0]) for text in texts]

    assert values() == sorted(values(), reverse=True)
    assert len(set(values())) > 3
    page.keyboard.press("Enter")
    assert column.get_attribute("aria-sort") == "ascending"
    assert values() == sorted(values())


def test_a_word_is_explained_where_it_has_the_focus(opened):
    page = opened()
    word = page.locator("table.sortable a.term", has_text="SBG").first
    word.focus()
    tip = page.get_by_role("tooltip")
    assert tip.is_visible()
    assert "core-based" in tip.text_content()
    page.keyboard.press("Escape")
    assert not tip.is_visible()
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#term-sbg"


def test_every_link_within_the_page_leads_somewhere(opened):
    page = opened()
    lost = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map((link) => decodeURIComponent(link.hash.slice(1)))"
        ".filter((hash) => !document.getElementById(hash))"
    )
    assert lost == []


def test_times_and_circumstances_are_filled_in_from_beside_the_page(opened):
    page = opened()
    assert page.locator("#settings dt", has_text="Machine").count() == 1
    assert page.locator("#times td", has_text="all stages").count() == 1


def test_without_scripts_everything_is_there(browser, page_path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_path.as_uri())
    assert page.locator("table.sortable tbody tr").count() > 5
    assert page.locator("table button").count() == 0
    context.close()
