"""Laws of the explorer in a browser."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pag.page.report import Explorer
from stages.params.evaluation import EvaluationParams
from stages.params.reading import Params
from stages.reporting.explorers import explorer_data
from stages.reporting.targeted import Targeted

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def explorer(opened):
    page = opened()
    section = page.locator(".explorer").first
    section.locator(".explorer-state", has_text="At ε").wait_for()
    return section


def data_of(section):
    return json.loads(section.locator("script").text_content())


def test_vanilla_stands_beside_an_aligned_network_at_the_eps_of_the_attack(explorer):
    data = data_of(explorer)
    heads = explorer.locator("h4").all_text_contents()
    assert heads == data["shown"] == ["Vanilla", "SBG"]
    state = explorer.locator(".explorer-state")
    assert "Vanilla predicts" in state.text_content()
    assert "SBG predicts" in state.text_content()


def test_the_slider_goes_through_the_ladder_by_keyboard(explorer):
    data, slider = data_of(explorer), explorer.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    explorer.locator(".explorer-state", has_text="At ε = 0,").wait_for()
    assert explorer.get_by_text("no perturbation").count() == 2
    told = []
    for size in data["sizes"][1:]:
        slider.press("ArrowRight")
        explorer.locator(".explorer-state", has_text=f"At ε = {size},").wait_for()
        told.append(slider.get_attribute("aria-valuetext"))
        assert explorer.get_by_text("perturbation", exact=True).count() == 2
        scales = [strip.locator("span").all_text_contents() for strip in explorer.locator(".strip").all()]
        assert all(low.replace("−", "+") == high and middle == "0" for low, middle, high in scales)
    assert told == [f"ε = {size}" for size in data["sizes"][1:]]


def test_image_and_bars_are_those_of_the_frame(explorer):
    """The canvas holds the sprite's tile, and the bars the probabilities."""
    explorer.get_by_role("combobox", name="Target class").select_option("3")
    explorer.get_by_role("combobox", name="Image", exact=True).select_option("1")
    explorer.get_by_role("slider").press("End")
    data = data_of(explorer)
    last = len(data["epsilons"]) - 1
    explorer.locator(".explorer-state", has_text=f"At ε = {data['sizes'][-1]},").wait_for()
    shown = explorer.locator("canvas").first.evaluate(
        "(c) => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0)"
    )
    sprite = explorer.evaluate(
        """async (section, [label, row, column]) => {
            const data = JSON.parse(section.querySelector('script').textContent);
            const image = new Image();
            image.src = 'data:image/png;base64,' + data.networks.find((each) => each.label === label).sprite;
            await image.decode();
            const [, height, width] = data.shape;
            const canvas = document.createElement('canvas');
            Object.assign(canvas, { width, height });
            canvas.getContext('2d').drawImage(image, -column * width, -row * height);
            return [...canvas.getContext('2d').getImageData(0, 0, width, height).data].filter((_, i) => i % 4 === 0);
        }""",
        ["Vanilla", data["targets"] + 3, last],
    )
    assert shown == sprite
    network = explorer.locator(".explorer-network").first
    shares = [int(text.rstrip("%")) for text in network.locator(".value").all_text_contents()]
    assert len(shares) == len(data["classes"])
    assert abs(sum(shares) - 100) <= len(shares)
    assert network.get_by_text("3, target").count() == 1
    assert network.get_by_text("1, true").count() == 1


def test_the_state_says_what_each_network_says(explorer):
    explorer.get_by_role("combobox", name="Target class").select_option("2")
    state = explorer.locator(".explorer-state", has_text="0 toward 2:")
    state.wait_for()
    for network in explorer.locator(".explorer-network").all():
        said = network.locator(".name.said").text_content().split(",")[0]
        share = network.locator(".said + .bar + .value").text_content()
        assert f"{network.locator('h4').text_content()} predicts {said} ({share}" in state.text_content()


@pytest.mark.parametrize("width", [360, 800, 1600, 2400])
def test_images_are_large_at_any_width(opened, width):
    page = opened(width)
    page.locator(".explorer-state", has_text="At ε").first.wait_for()
    for canvas in page.locator(".explorer").first.locator("canvas").all():
        box = canvas.bounding_box()
        assert box["width"] >= 160
        assert box["height"] == pytest.approx(box["width"], abs=1.5)


def test_the_contents_lead_to_the_explorer(opened):
    page = opened()
    page.get_by_role("navigation").get_by_role("link", name="Explorer").click()
    assert page.locator(page.evaluate("location.hash")).text_content().startswith("Explorer")


def test_the_second_network_can_be_left_out(explorer):
    explorer.get_by_role("combobox", name="Compare with").select_option("none")
    explorer.locator(".explorer-network").nth(1).wait_for(state="hidden")
    assert "SBG" not in explorer.locator(".explorer-state").text_content()


def test_play_goes_to_the_end_and_stops(explorer):
    slider = explorer.get_by_role("slider")
    slider.press("Home")
    explorer.get_by_role("button", name="Play").click()
    assert explorer.get_by_role("button", name="Stop").count() == 1
    explorer.get_by_role("button", name="Play").wait_for()
    assert slider.input_value() == slider.get_attribute("max")


def test_where_motion_is_reduced_play_goes_one_step(explorer):
    explorer.page.emulate_media(reduced_motion="reduce")
    slider = explorer.get_by_role("slider")
    slider.press("Home")
    explorer.get_by_role("button", name="Play").click()
    explorer.page.wait_for_timeout(1000)  # longer than a step of the animation
    assert slider.input_value() == "1"


def test_without_scripts_a_sentence_stands_there(browser, page_path):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(page_path.as_uri())
    assert page.locator(".explorer").first.get_by_text("The explorer needs JavaScript.").is_visible()
    assert page.locator(".explorer canvas, .explorer select").count() == 0
    context.close()


def test_of_many_classes_the_likeliest_are_shown_with_target_and_true_one(browser, page_path, tmp_path):
    """30 classes in colour, of which 15 were tried as targets; the last but one is the likeliest."""
    evaluation = Params(PARAMS_FILE).dataset("digits").read("evaluation", EvaluationParams)
    probabilities = np.tile(np.arange(30) / 435, (1, 15, 2, 1))
    probabilities[..., [28, 29]] = probabilities[..., [29, 28]]
    frames = np.zeros((1, 15, 2, 3, 8, 8), np.uint8)
    frames[:, :, 1] = 51
    network = Targeted(np.array([1]), np.array([0.0, 0.9]), 1, frames, probabilities)
    data = explorer_data({"Vanilla": network}, [f"kind of animal {c}" for c in range(30)], evaluation, ["Vanilla"])
    block = r'(<script type="application/json">).*?(</script>)'
    text, html = Explorer(json.dumps(data)).text, page_path.read_text(encoding="utf-8")
    (tmp_path / "index.html").write_text(
        re.sub(block, lambda found: f"{found[1]}{text}{found[2]}", html, count=1, flags=re.DOTALL), encoding="utf-8"
    )
    page = browser.new_page(viewport={"width": 360, "height": 900})
    page.goto((tmp_path / "index.html").as_uri())
    explorer = page.locator(".explorer").first
    explorer.locator(".explorer-state", has_text="kind of animal 28 (7%; target 0%)").wait_for()
    names = explorer.locator(".name").all_text_contents()
    likely = [f"kind of animal {c}" for c in range(20, 30)]
    assert names == ["kind of animal 0, target", "kind of animal 1, true", *likely]
    assert explorer.get_by_text("and 18 more classes").count() == 1
    assert explorer.get_by_label("Target class (the first 15 of 30)").locator("option").count() == 15
    assert explorer.locator(".strip").first.locator("span").all_text_contents() == ["−0.2", "0", "+0.2"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()
