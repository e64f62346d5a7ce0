import pytest
from playwright.sync_api import expect

from lib_instantas.methods import Request, make_method
from lib_instantas.settings import parse_settings

NATIVE, STEPS = 64, 20


def shown(surface, step):
    """The rectangles (y, x, height, width) that the page draws at a step counted from 0, in latent pixels."""
    rectangles = surface.page.evaluate(
        "step => instantasEditor.nodes.gridAt(instantasEditor.app.stage.plan, step).rectangles", step
    )
    return sorted(rectangles)


def drawn(surface):
    """Where the boxes of the grid begin on the screen, from left to right."""
    boxes = "(({stage, store}) => instantasEditor.nodes.gridBoxes(stage.plan, store.view.step, stage.viewport))"
    return surface.page.evaluate(f"{boxes}(instantasEditor.app).map(box => Math.round(box.x))")


def planned(width, height, step, **settings):
    """The same, from the engine itself."""
    request = Request((height // 8, width // 8), NATIVE, parse_settings(settings), 0, STEPS)
    plan = make_method(request).plan(step)
    rows = [pieces(tile.y.keep, plan.shift[0], plan.canvas[0]) for tile in plan.tiles]
    columns = [pieces(tile.x.keep, plan.shift[1], plan.canvas[1]) for tile in plan.tiles]
    return sorted([y, x, h, w] for row, column in zip(rows, columns, strict=True) for y, h in row for x, w in column)


def pieces(span, shift, length):
    """Where what a tile keeps begins on the picture, and how long it is: two pieces where it goes around a ring."""
    start = (span.start + shift) % length
    beyond = max(0, start + len(span) - length)
    return [(start, len(span) - beyond)] + ([(0, beyond)] if beyond else [])


def move_step_to(surface, step):
    surface.page.get_by_label("Step", exact=True).fill(str(step + 1))
    expect(surface.page.locator(".ias-step-text")).to_have_text(f"step {step + 1} of {STEPS}")


def choose_schedule(surface, schedule):
    surface.page.locator(".ias-gridbar").get_by_label("Schedule", exact=True).select_option(schedule)
    surface.wait(f"JSON.parse(document.querySelector('.ias-gridbar').dataset.plan).settings.schedule === '{schedule}'")


def set_gamma(surface, gamma):
    surface.page.locator(".ias-gamma input[type=number]").fill(str(gamma))
    surface.wait(f"JSON.parse(document.querySelector('.ias-gridbar').dataset.plan).settings.gamma === {gamma}")


def test_the_grid_stands_where_the_engine_puts_it(surface):
    surface.set_canvas(3072, 1024)
    for step in (0, 1, 7, STEPS - 1):
        assert shown(surface, step) == planned(3072, 1024, step)


def test_gamma_moves_the_grid_and_is_the_settings_own(surface):
    surface.set_canvas(3072, 512)
    choose_schedule(surface, "cyclic")
    set_gamma(surface, 0.125)
    assert shown(surface, 5) == planned(3072, 512, 5, schedule="cyclic", gamma=0.125)
    setting = surface.page.locator("#instantas_serve_gamma input[type=number]")
    expect(setting).to_have_value("0.125")
    surface.page.locator("#instantas_serve_details > .label-wrap").click()
    setting.fill("0.4")
    surface.page.locator("#instantas_serve_details > .label-wrap").click()
    surface.wait("JSON.parse(document.querySelector('.ias-gridbar').dataset.plan).settings.gamma === 0.4")
    assert shown(surface, 5) == planned(3072, 512, 5, schedule="cyclic", gamma=0.4)
    expect(surface.page.locator(".ias-gamma input[type=number]")).to_have_value("0.4")


def test_the_step_slider_shows_another_grid(surface):
    surface.set_canvas(3072, 512)
    surface.wait_for_the_grid()
    first = drawn(surface)
    move_step_to(surface, 3)
    assert drawn(surface) != first
    move_step_to(surface, 0)
    assert drawn(surface) == first


def test_the_grid_can_be_hidden(surface):
    surface.page.get_by_label("Tile grid").uncheck()
    assert surface.page.evaluate("instantasEditor.app.stage.layers.grid.getChildren().length") == 0
    surface.page.get_by_label("Tile grid").check()
    assert surface.page.evaluate("instantasEditor.app.stage.layers.grid.getChildren().length") > 0


def test_a_grid_of_too_many_tiles_is_counted_and_not_drawn(surface):
    setting = surface.page.locator("#instantas_serve_tile input[type=number]")
    surface.set_canvas(32768, 32768)
    setting.evaluate(
        "(field, value) => instantasEditor.fields.write(field.closest('#instantas_serve_tile'), value)", 64
    )
    expect(surface.page.locator(".ias-note")).to_have_text(
        "262144 tiles per step; the grid is not drawn: at most 10000 tiles are"
    )
    setting.evaluate("(field, value) => instantasEditor.fields.write(field.closest('#instantas_serve_tile'), value)", 0)
    expect(surface.page.locator(".ias-note")).to_have_text(
        "3249 tiles per step; steps 19 to 20 are not shown: too many tiles in all"
    )


def test_a_canvas_of_one_tile_says_so(surface):
    surface.set_canvas(512, 512)
    expect(surface.page.locator(".ias-note")).to_have_text("fits one tile")


@pytest.mark.parametrize(("side", "value"), [("width", "63"), ("height", "40000"), ("width", "")])
def test_an_impossible_canvas_is_refused(surface, side, value):
    surface.set_canvas(1024, 512)
    field = surface.page.locator(f".ias-canvas-{side}")
    field.fill(value)
    field.press("Enter")
    expect(surface.page.locator(".ias-notice")).to_contain_text(f"{side} must be between 64 and 32768 pixels")
    expect(field).to_have_value({"width": "1024", "height": "512"}[side])


def test_a_field_that_has_the_focus_follows_undo(surface):
    surface.set_canvas(1024, 512)
    surface.page.locator(".ias-canvas-width").focus()
    surface.page.evaluate("instantasEditor.app.store.undo()")
    expect(surface.page.locator(".ias-canvas-width")).to_have_value("2048")
