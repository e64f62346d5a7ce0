import json
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect
from serving import free_port, serving
from surface import Surface

from lib_instantas.editor.presets import PresetStore

MARKUP = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 1</script>'
NONSENSE = '{"version": 1, "document": {"setup": 7}}'
ESCAPES = (
    "../../escaped",
    "..\\..\\escaped",
    "/tmp/escaped",
    "C:escaped",
    "CON",
    "escaped/../../escaped",
    "%2e%2e%2fescaped",
)


def draw_three_and_a_mask(surface):
    for left in (0.05, 0.3, 0.55):
        surface.draw_box((left, 0.2), (left + 0.2, 0.8))
    surface.page.locator(".ias-selected").get_by_label("Prompt", exact=True).fill("a bright moon")
    surface.use("Select and move")
    surface.page.locator(".ias-frame").press("Escape")
    surface.paint((0.85, 0.3), (0.9, 0.7))
    surface.use("Select and move")


def test_regions_and_masks_survive_a_reload_and_a_restart_of_the_server(browser, generator, tmp_path):
    port = free_port()
    context = browser.new_context()
    with serving(generator, tmp_path, port) as url:
        surface = Surface(context.new_page(), url).open()
        surface.set_canvas(3072, 640)
        draw_three_and_a_mask(surface)
        drawn = surface.regions()
        surface.page.reload()
        surface.wait("globalThis.instantasEditor?.app?.stage.plan")
        assert surface.regions() == drawn
    with serving(generator, tmp_path, port) as url:
        surface.open()
        assert surface.regions() == drawn
        assert surface.page.locator(".ias-canvas-width").input_value() == "3072"
        assert json.loads(surface.sent())["regions"] == drawn
    context.close()
    assert [region["shape"]["type"] for region in drawn] == ["rectangle"] * 3 + ["mask"]


def test_a_preset_brings_everything_back(surface):
    surface.set_canvas(1536, 512)
    draw_three_and_a_mask(surface)
    drawn = surface.regions()
    surface.save_preset("Evening & moon")
    surface.clear()
    surface.open_menu("Presets")
    surface.page.get_by_role("button", name="Load Evening & moon").click()
    expect(surface.cards()).to_have_count(4)
    assert surface.regions()[:3] == drawn[:3]
    assert surface.page.locator(".ias-canvas-width").input_value() == "1536"


def test_a_preset_is_deleted_at_the_second_click(surface, presets):
    surface.draw_box((0.1, 0.1), (0.5, 0.5))
    surface.save_preset("passing")
    surface.open_menu("Presets")
    remove = surface.page.get_by_role("button", name="Delete passing")
    remove.click()
    assert "passing" in PresetStore(presets).names()
    remove.click()
    expect(remove).to_have_count(0)
    assert "passing" not in PresetStore(presets).names()


def test_no_name_of_a_preset_reaches_outside_its_folder(surface, presets):
    around = {path for path in presets.parent.rglob("*") if presets not in path.parents}
    surface.draw_box((0.1, 0.1), (0.5, 0.5))
    for name in ESCAPES:
        surface.save_preset(name)
    assert set(ESCAPES) <= set(PresetStore(presets).names())
    assert {path for path in presets.parent.rglob("*") if presets not in path.parents} - {presets} == around - {presets}
    assert all(path.parent == presets for path in presets.rglob("*"))
    assert not Path("/tmp/escaped").exists()


def test_no_text_runs_in_the_page(surface):
    surface.draw_box((0.1, 0.1), (0.5, 0.5))
    selected = surface.page.locator(".ias-selected")
    selected.locator(".ias-name").fill(MARKUP[:100])
    selected.get_by_label("Prompt", exact=True).fill(MARKUP)
    surface.save_preset(MARKUP[:80])
    surface.open_menu("Presets")
    expect(surface.page.get_by_role("button", name=f"Load {MARKUP[:80]}", exact=True)).to_be_visible()
    surface.page.get_by_role("button", name=f"Load {MARKUP[:80]}", exact=True).click()
    expect(surface.page.locator(".ias-notice")).to_have_text(f"Loaded “{MARKUP[:80]}”.")
    assert surface.regions()[0]["prompt"] == MARKUP
    assert surface.page.evaluate("window.hacked") is None
    assert surface.page.locator("#instantas_editor img[src=x]").count() == 0


def test_an_export_is_imported_again(surface, tmp_path):
    draw_three_and_a_mask(surface)
    drawn = surface.regions()
    surface.open_menu("File")
    with surface.page.expect_download() as download:
        surface.button("Export JSON").click()
    exported = tmp_path / "regions.json"
    download.value.save_as(exported)
    surface.clear()
    surface.page.locator(".ias-json-file").set_input_files(exported)
    expect(surface.cards()).to_have_count(4)
    assert surface.regions()[:3] == drawn[:3]


def test_the_regions_of_an_api_call_are_imported(surface):
    setup = [{"shape": {"type": "rectangle", "x": 0.25, "y": 0, "width": 0.5, "height": 1}, "prompt": "a boat"}]
    surface.page.locator(".ias-json-file").set_input_files(a_file(json.dumps(setup)))
    expect(surface.cards()).to_have_count(1)
    assert surface.regions()[0]["prompt"] == "a boat"


def test_a_bad_import_is_refused_by_name_and_changes_nothing(surface):
    surface.draw_box((0.1, 0.1), (0.5, 0.5))
    drawn = surface.regions()
    notice = surface.page.locator(".ias-notice")
    shape = {"type": "rectangle", "x": 0, "y": 0, "width": -1, "height": 1}
    surface.page.locator(".ias-json-file").set_input_files(a_file(json.dumps([{"shape": shape}])))
    expect(notice).to_contain_text("regions[0].shape.width must be greater than 0")
    surface.page.locator(".ias-json-file").set_input_files(a_file("{"))
    expect(notice).to_contain_text("regions.json is not JSON")
    assert surface.regions() == drawn


def reloaded(surface):
    surface.page.reload()
    surface.wait("globalThis.instantasEditor?.app?.stage.plan")
    return surface


def test_each_window_keeps_its_own_drawing_and_a_new_one_begins_with_the_last_saved(new_surface):
    first = new_surface()
    draw_three_and_a_mask(first)
    drawn = first.regions()
    second = Surface(first.page.context.new_page(), first.address).open()
    assert second.regions() == drawn
    second.set_canvas(1024, 1024)
    second.draw_box((0.4, 0.4), (0.9, 0.9))
    assert len(second.regions()) == 5
    assert reloaded(first).regions() == drawn
    assert first.page.locator(".ias-canvas-width").input_value() == "2048"
    assert len(reloaded(second).regions()) == 5
    first.draw_box((0.4, 0.4), (0.9, 0.9))
    third = Surface(first.page.context.new_page(), first.address).open()
    assert third.regions() == first.regions()
    assert not first.errors + second.errors + third.errors


def test_a_window_that_drew_nothing_keeps_what_it_began_with(new_surface):
    """Empty, or the drawing of the window before; what that one draws afterwards is not its own."""
    first = new_surface()
    empty = Surface(first.page.context.new_page(), first.address).open()
    first.draw_box((0.1, 0.1), (0.5, 0.5))
    follower = Surface(first.page.context.new_page(), first.address).open()
    first.draw_box((0.6, 0.1), (0.9, 0.5))
    assert [len(reloaded(window).regions()) for window in (first, empty, follower)] == [2, 0, 1]


def test_each_window_keeps_its_own_reference_picture(new_surface, tmp_path):
    first = new_surface()
    second = Surface(first.page.context.new_page(), first.address).open()
    for surface, color in ((first, "red"), (second, "blue")):
        file = tmp_path / f"{color}.png"
        Image.new("RGB", (64, 16), color).save(file)
        surface.page.locator(".ias-picture-file").set_input_files(file)
        surface.wait("instantasEditor.app.stage.picture")
    shown = [window.page.evaluate("instantasEditor.app.stage.picture") for window in (first, second)]
    assert shown[0] != shown[1]
    windows = [reloaded(first), reloaded(second), Surface(first.page.context.new_page(), first.address).open()]
    pictures = [window.page.evaluate("instantasEditor.app.stage.picture") for window in windows]
    assert pictures == [*shown, shown[1]]
    second.open_menu("Picture")
    second.button("No picture").click()
    assert reloaded(second).page.evaluate("instantasEditor.app.stage.picture") is None
    assert reloaded(first).page.evaluate("instantasEditor.app.stage.picture") == shown[0]


def test_only_a_change_is_written_down(surface):
    surface.draw_box((0.1, 0.1), (0.5, 0.5))
    surface.page.evaluate(
        """() => {
            globalThis.written = 0;
            const write = Storage.prototype.setItem;
            globalThis.unwatch = () => { Storage.prototype.setItem = write; };
            Storage.prototype.setItem = function (...args) { globalThis.written++; return write.apply(this, args); };
        }"""
    )
    surface.page.evaluate("instantasEditor.app.render()")
    surface.use("Polygon")
    surface.use("Select and move")
    unchanged = surface.page.evaluate("written")
    surface.draw_box((0.6, 0.1), (0.9, 0.5))
    changed = surface.page.evaluate("written")
    surface.page.evaluate("unwatch()")
    assert unchanged == 0
    assert changed > 0


@pytest.mark.parametrize("storage", ["localStorage", "sessionStorage"])
def test_storage_that_holds_nonsense_is_passed_over(new_surface, storage):
    surface = new_surface()
    surface.page.evaluate(f"{storage}.setItem('instantas.editor', '{NONSENSE}')")
    if storage == "localStorage":
        surface = Surface(surface.page.context.new_page(), surface.address).open()
    else:
        reloaded(surface)
    assert surface.regions() == []
    assert not surface.errors


def test_a_browser_that_keeps_nothing_costs_the_autosave_only(new_surface):
    surface = new_surface()
    surface.page.context.add_init_script(
        """for (const name of ["localStorage", "sessionStorage"]) {
            const get = () => { throw new DOMException("forbidden", "SecurityError"); };
            Object.defineProperty(globalThis, name, {get});
        }"""
    )
    reloaded(surface)
    surface.draw_box((0.1, 0.1), (0.5, 0.5))
    assert len(surface.regions()) == 1
    assert reloaded(surface).regions() == []
    assert not surface.errors


def a_file(text):
    return {"name": "regions.json", "mimeType": "application/json", "buffer": text.encode()}
