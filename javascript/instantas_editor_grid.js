"use strict";

// The tile grid of one step, as the Python planner gave it.
(function (editor) {
    const EVEN = "rgba(0, 0, 0, 0.05)";

    /** The grid that a plan document holds for a step counted from 0; steps beyond the last show the last. */
    function at(plan, step) {
        return plan.plans[plan.steps[Math.min(step, plan.steps.length - 1)]];
    }

    /** The tiles of a step as boxes of the frame. */
    function boxes(plan, step, viewport) {
        const {height, width} = plan.canvas;
        return at(plan, step).rectangles.map(([y, x, h, w]) =>
            viewport.boxToFrame({x: x / width, y: y / height, width: w / width, height: h / height}));
    }

    /** One node for all tiles: thousands of nodes would take seconds at each stroke of a brush. */
    function draw(Konva, layer, plan, step, viewport) {
        const tiles = boxes(plan, step, viewport);
        layer.add(new Konva.Shape({listening: false, sceneFunc: context => paint(context, tiles)}));
    }

    function paint(context, tiles) {
        context.setAttr("fillStyle", EVEN);
        tiles.forEach(({x, y, width, height}, i) => i % 2 && context.fillRect(x, y, width, height));
        outline(context, tiles, {strokeStyle: "rgba(0, 0, 0, 0.4)", lineWidth: 2}, []);
        outline(context, tiles, {strokeStyle: "rgba(255, 255, 255, 0.9)", lineWidth: 1}, [4, 4]);
    }

    function outline(context, tiles, look, dash) {
        for (const [name, value] of Object.entries(look)) context.setAttr(name, value);
        context.setLineDash(dash);
        for (const {x, y, width, height} of tiles) context.strokeRect(x, y, width, height);
    }

    editor.grid = {at, boxes, draw};
})(globalThis.instantasEditor ??= {});
