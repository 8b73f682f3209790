"""Laws of the explorer in a browser."""

import json

import pytest


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
    assert "Vanilla says" in state.text_content()
    assert "SBG says" in state.text_content()


def test_the_slider_goes_through_the_ladder_by_keyboard(explorer):
    data, slider = data_of(explorer), explorer.get_by_role("slider")
    slider.focus()
    slider.press("Home")
    explorer.locator(".explorer-state", has_text="At ε = 0:").wait_for()
    assert explorer.get_by_text("nothing was added").count() == 2
    told = []
    for eps in data["epsilons"][1:]:
        slider.press("ArrowRight")
        explorer.locator(".explorer-state", has_text=f"At ε = {eps:g}:").wait_for()
        told.append(slider.get_attribute("aria-valuetext"))
        assert explorer.get_by_text("full colour is").count() == 2
    assert told == [f"ε = {eps:g}" for eps in data["epsilons"][1:]]


def test_image_and_bars_are_those_of_the_frame(explorer):
    """The canvas holds the sprite's tile, and the bars the probabilities."""
    explorer.get_by_role("combobox", name="Toward the class").select_option("3")
    explorer.get_by_role("combobox", name="Image", exact=True).select_option("1")
    explorer.get_by_role("slider").press("End")
    data = data_of(explorer)
    last = len(data["epsilons"]) - 1
    explorer.locator(".explorer-state", has_text=f"At ε = {data['epsilons'][-1]:g}:").wait_for()
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
    assert network.get_by_text("1, true class").count() == 1


def test_the_second_network_can_be_left_out(explorer):
    explorer.get_by_role("combobox", name="Beside it").select_option("none")
    explorer.locator(".explorer-network").nth(1).wait_for(state="hidden")
    assert "SBG" not in explorer.locator(".explorer-state").text_content()


def test_play_goes_to_the_end_and_stops(explorer):
    slider = explorer.get_by_role("slider")
    slider.press("Home")
    explorer.get_by_role("button", name="Play").click()
    assert explorer.get_by_role("button", name="Stop").count() == 1
    explorer.get_by_role("button", name="Play").wait_for()
    assert slider.input_value() == slider.get_attribute("max")
