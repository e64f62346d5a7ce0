"use strict";

// The corners of the selected polygon: drag one to move it, drag a small one between two to insert a corner,
// double-click one to take it away.
(function (editor) {
    function show(stage, region) {
        const {points} = region.shape;
        points.forEach((point, i) => {
            const next = points[(i + 1) % points.length];
            const middle = [(point[0] + next[0]) / 2, (point[1] + next[1]) / 2];
            if (points.length < editor.model.LIMITS.points) handle(stage, region, middle, 4, to => inserted(points, i + 1, to));
        });
        points.forEach((point, i) => {
            const corner = handle(stage, region, point, 6, to => points.map((p, n) => (n === i ? to : p)));
            corner.on("dblclick dbltap", () => remove(stage, region, i));
        });
    }

    const inserted = (points, at, point) => [...points.slice(0, at), point, ...points.slice(at)];

    function handle(stage, region, [x, y], radius, pointsWith) {
        const coarse = matchMedia("(pointer: coarse)").matches;
        const circle = new stage.Konva.Circle({
            ...stage.viewport.toFrame({x, y}), radius, fill: radius > 5 ? "#fff" : region.color, stroke: region.color,
            strokeWidth: 2, draggable: true, hitStrokeWidth: coarse ? 26 : 10,
        });
        circle.on("dragmove", () => circle.position(stage.snappedPoint(circle.position())));
        circle.on("dragend", () => {
            const to = stage.viewport.toFraction(circle.position());
            commit(stage, region, pointsWith([editor.geometry.rounded(to.x), editor.geometry.rounded(to.y)]));
        });
        stage.layers.front.add(circle);
        return circle;
    }

    function remove(stage, region, i) {
        if (region.shape.points.length > 3) commit(stage, region, region.shape.points.filter((_, n) => n !== i));
    }

    function commit(stage, region, points) {
        stage.store.settle();
        stage.store.commit(editor.model.changed(stage.store.drawing, region.id, {shape: {type: "polygon", points}}));
    }

    editor.vertices = {show};
})(globalThis.instantasEditor ??= {});
