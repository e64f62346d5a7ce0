"use strict";

// The tile grid of one step, as the Python planner gave it.
(function (editor) {
    const EVEN = "rgba(0, 0, 0, 0.05)";

    /** The grid that a plan document holds for a step counted from 0; steps beyond the last show the last. */
    function at(plan, step) {
        return plan.plans[plan.steps[Math.min(step, plan.steps.length - 1)]];
    }

    function draw(Konva, layer, plan, step, viewport) {
        const {height, width} = plan.canvas;
        at(plan, step).rectangles.forEach(([y, x, h, w], i) => {
            const box = viewport.boxToFrame({x: x / width, y: y / height, width: w / width, height: h / height});
            layer.add(new Konva.Rect({...box, stroke: "rgba(0, 0, 0, 0.4)", strokeWidth: 2, fill: i % 2 ? EVEN : undefined}));
            layer.add(new Konva.Rect({...box, stroke: "rgba(255, 255, 255, 0.9)", strokeWidth: 1, dash: [4, 4]}));
        });
    }

    editor.grid = {at, draw};
})(globalThis.instantasEditor ??= {});
