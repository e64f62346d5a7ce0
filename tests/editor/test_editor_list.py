import json

import pytest
from playwright.sync_api import expect

LATENT = 8


@pytest.fixture
def three(surface):
    """Boxes "Region 1" to "Region 3" from left to right, the last one selected."""
    for left in (0.05, 0.37, 0.69):
        surface.draw_box((left, 0.2), (left + 0.24, 0.8))
    return surface


def card(surface, name):
    return (
        surface.cards().filter(has=surface.page.locator(".ias-name")).nth(list(reversed(surface.names())).index(name))
    )


def in_card(surface, name, button):
    card(surface, name).get_by_role("button", name=button, exact=True).click()


def test_the_uppermost_region_stands_first_in_the_list(three):
    shown = [field.input_value() for field in three.page.locator(".ias-name").all()]
    assert shown == ["Region 3", "Region 2", "Region 1"]


def test_regions_are_put_in_another_order(three):
    in_card(three, "Region 1", "Bring forward")
    assert three.names() == ["Region 2", "Region 1", "Region 3"]
    in_card(three, "Region 3", "Send backward")
    assert three.names() == ["Region 2", "Region 3", "Region 1"]
    expect(card(three, "Region 1").get_by_role("button", name="Bring forward")).to_be_disabled()


def test_a_region_is_duplicated_with_all_it_holds(three):
    three.page.locator(".ias-selected").get_by_label("Prompt", exact=True).fill("a tree")
    in_card(three, "Region 3", "Duplicate")
    original, copy = three.regions()[2:]
    assert copy["name"] == "Region 3 copy"
    assert copy["prompt"] == "a tree"
    assert copy["color"] != original["color"]
    assert copy["shape"]["width"] == pytest.approx(original["shape"]["width"])


def test_a_region_is_deleted_renamed_and_switched_off(three):
    in_card(three, "Region 2", "Delete")
    card(three, "Region 1").locator(".ias-name").fill("sky")
    in_card(three, "Region 3", "On or off")
    assert [(r["name"], r["enabled"]) for r in three.regions()] == [("sky", True), ("Region 3", False)]
    expect(three.page.locator(".ias-badge")).to_have_text("1 of 2 active")


def test_weight_feather_and_place_are_set_in_numbers(three):
    three.set_canvas(2048, 512)
    selected = three.page.locator(".ias-selected")
    selected.locator('input[type=number][aria-label="Weight"]').fill("0.5")
    selected.locator('input[type=number][aria-label="Feather"]').fill("128")
    for side, value in {"X": 256, "Y": 64, "W": 1024, "H": 128}.items():
        selected.get_by_label(f"{side} in pixels").fill(str(value))
        selected.get_by_label(f"{side} in pixels").press("Enter")
    region = three.regions()[2]
    assert (region["weight"], region["feather"]) == (0.5, 0.25)
    assert region["shape"] == {"type": "rectangle", "x": 0.125, "y": 0.125, "width": 0.5, "height": 0.25}


def test_the_soft_border_is_drawn_as_wide_as_its_ramp(three):
    three.set_canvas(1024, 512)
    band = "instantasEditor.app.stage.layers.regions.find('.feather').map(node => node.strokeWidth())"
    assert three.page.evaluate(band) == []
    three.page.locator('.ias-selected input[type=number][aria-label="Feather"]').fill("128")
    height = three.page.locator(".ias-paper").bounding_box()["height"]
    assert three.page.evaluate(band) == pytest.approx([height / 4], abs=0.5)


def test_the_overlap_rule_is_part_of_the_setup(three):
    three.page.get_by_label("Where regions overlap").select_option("upper")
    assert json.loads(three.sent())["overlap"] == "upper"


def test_prompts_show_how_many_tokens_they_have(three):
    three.page.locator(".ias-selected").get_by_label("Prompt", exact=True).fill("abc de")
    expect(three.page.locator(".ias-selected .ias-tokens").first).to_have_text("5/75")


def test_every_change_is_undone_and_done_again(three):
    states = [three.regions()]
    in_card(three, "Region 1", "Bring forward")
    states.append(three.regions())
    three.page.locator(".ias-selected").get_by_label("Prompt", exact=True).press_sequentially("a red fox")
    states.append(three.regions())
    in_card(three, "Region 2", "Delete")
    states.append(three.regions())
    for state in reversed(states[:-1]):
        three.button("Undo").click()
        assert three.regions() == state
    for state in states[1:]:
        three.button("Redo").click()
        assert three.regions() == state
    expect(three.button("Redo")).to_be_disabled()


def test_undo_goes_back_to_the_empty_canvas(three):
    three.page.locator(".ias-frame").focus()
    for _ in range(3):
        three.page.keyboard.press("Control+z")
    assert three.regions() == []
    expect(three.button("Undo")).to_be_disabled()
    three.page.keyboard.press("Control+y")
    assert three.names() == ["Region 1"]


def test_the_keyboard_moves_stretches_duplicates_and_deletes(three):
    three.set_canvas(2048, 512)
    three.page.locator(".ias-frame").focus()
    before = three.regions()[2]["shape"]
    three.page.keyboard.press("ArrowRight")
    three.page.keyboard.press("Shift+ArrowUp")
    three.page.keyboard.press("Alt+ArrowLeft")
    after = three.regions()[2]["shape"]
    assert after["x"] - before["x"] == pytest.approx(LATENT / 2048, abs=1e-5)
    assert after["y"] - before["y"] == pytest.approx(-64 / 512, abs=1e-5)
    assert after["width"] - before["width"] == pytest.approx(-LATENT / 2048, abs=1e-5)
    three.page.keyboard.press("Control+d")
    assert len(three.regions()) == 4
    three.page.keyboard.press("Delete")
    assert three.names() == ["Region 1", "Region 2", "Region 3"]


def test_a_box_is_drawn_without_a_pointer(surface):
    surface.page.locator(".ias-frame").focus()
    surface.page.keyboard.press("r")
    surface.page.keyboard.press("Enter")
    assert surface.regions()[0]["shape"] == {"type": "rectangle", "x": 0.25, "y": 0.25, "width": 0.5, "height": 0.5}


def test_keys_that_are_typed_into_a_prompt_do_nothing_else(three):
    prompt = three.page.locator(".ias-selected").get_by_label("Prompt", exact=True)
    prompt.press_sequentially("brv")
    prompt.press("Delete")
    assert len(three.regions()) == 3
    assert three.regions()[2]["prompt"] == "brv"
