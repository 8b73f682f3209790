"""Laws of the charts in a browser: numbers by pointer, touch and keys; the same method everywhere; letters that can be read."""

import pytest

from pag.figures.style import DARK, LIGHT


@pytest.fixture
def page(opened):
    return opened()


def tip(page):
    return page.locator(".tip[role=status]")


def test_a_mark_tells_its_number_where_it_is_pointed_at(page):
    point = page.locator(".chart svg .mark-symbol [data-text]").first
    point.scroll_into_view_if_needed()
    said = point.get_attribute("data-text")
    point.hover(force=True)
    assert tip(page).is_visible()
    assert tip(page).text_content().split(": ")[0] in said
    box = tip(page).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 1600
    page.mouse.move(2, 2)
    assert not tip(page).is_visible()


def test_the_same_method_is_seen_in_every_chart(page):
    point = page.locator(".chart svg .mark-symbol [data-text]").first
    name = point.get_attribute("data-text").split(": ")[0]
    point.scroll_into_view_if_needed()
    point.hover(force=True)
    shown = tip(page).text_content().split(": ")[0]
    same = page.locator(".chart svg .same").evaluate_all("(marks) => marks.map((mark) => mark.dataset.text)")
    assert {text.split(": ")[0] for text in same} == {shown}
    assert page.locator(".chart svg.picking").count() >= 4
    assert name
    page.mouse.move(2, 2)
    assert page.locator(".chart svg.picking, .chart svg .same").count() == 0


def test_marks_are_reached_by_the_arrow_keys(page):
    chart = page.locator(".chart > svg").first
    texts = chart.locator(".role-mark [data-text]").evaluate_all("(marks) => marks.map((mark) => mark.dataset.text)")
    chart.focus()
    seen = []
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        seen.append(tip(page).text_content())
    page.keyboard.press("ArrowLeft")
    assert seen == texts[:3]
    assert tip(page).text_content() == texts[1]
    page.keyboard.press("Escape")
    assert not tip(page).is_visible()


def test_a_touch_tells_a_number_and_one_beside_takes_it_away(browser, page_path):
    context = browser.new_context(viewport={"width": 360, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto(page_path.as_uri())
    chart = page.locator(".chart > svg").first
    chart.scroll_into_view_if_needed()
    chart.locator(".mark-symbol [data-text]").first.tap(force=True)
    assert tip(page).is_visible()
    page.locator(".chart figcaption").first.tap()
    assert not tip(page).is_visible()
    context.close()


def test_every_chart_has_a_text_a_table_and_a_copy_for_print(page):
    charts = page.locator(".chart")
    assert charts.count() == 9
    for chart in charts.all():
        svg = chart.locator("> svg")
        assert svg.get_attribute("role") == "img"
        assert len(svg.get_attribute("aria-label")) > 20
        assert chart.locator("details table tbody tr").count() > 1
    copies = page.locator(".chart .copy code").all_text_contents()
    assert [copy.split("/")[-1] for copy in copies] == [
        "robustness-alignment.png", "cost.png", "security.png", "attacks.png", "lambda.png", "training.png", "diffusion-loss.png",
    ]  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_can_be_read_on_a_phone(opened, scheme):
    page = opened(360, scheme)
    sizes = page.locator(".chart > svg text").evaluate_all(
        "(texts) => texts.filter((text) => text.textContent.trim()).map((text) =>"
        " parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a || 10)"
    )
    assert min(size for size in sizes if size > 0) >= 10


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_those_of_the_scheme(opened, scheme):
    page, colours = opened(800, scheme), {"light": LIGHT, "dark": DARK}[scheme]
    found = page.evaluate(
        "(names) => names.map((name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim())",
        [f"--{name}" if name in ("ink", "muted", "paper", "line") else f"--c-{name}" for name in colours],
    )
    assert found == list(colours.values())


def test_charts_stand_side_by_side_where_there_is_room(opened):
    wide, narrow = opened(1600), opened(360)
    for page, columns in ((wide, 3), (narrow, 1)):
        lefts = (
            page.locator(".charts").first.locator(".chart").evaluate_all("(all) => all.map((each) => each.offsetLeft)")
        )
        assert len(set(lefts)) == columns
