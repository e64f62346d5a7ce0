"use strict";

// The drawing: a canvas size in image pixels, and regions from the lowest to the uppermost. Values, never changed in place.
(function (editor) {
    const COLORS = ["#e4572e", "#2e86ab", "#3fa34d", "#f2a541", "#8e5bd0", "#d6457f", "#17a398", "#9a6a3a", "#5b7fff", "#b0a41f"];
    const LIMITS = {regions: 32, name: 100, prompt: 10000, points: 512, weight: 10, side: [64, 32768]};
    const DEFAULT_CANVAS = {width: 2048, height: 512};

    let lastId = 0;
    const newId = () => `r${++lastId}`;

    function emptyDrawing(canvas = DEFAULT_CANVAS) {
        return {canvas: {...canvas}, overlap: "weight", regions: []};
    }

    function freeColor(regions) {
        const taken = new Set(regions.map(r => r.color));
        return COLORS.find(c => !taken.has(c)) ?? COLORS[regions.length % COLORS.length];
    }

    function freeName(regions, base = "Region") {
        const taken = new Set(regions.map(r => r.name));
        for (let n = 1; ; n++) {
            if (!taken.has(`${base} ${n}`)) return `${base} ${n}`;
        }
    }

    function newRegion(drawing, shape) {
        return {
            id: newId(), name: freeName(drawing.regions), enabled: true, shape,
            prompt: "", negative_prompt: "", weight: 1, feather: 0, color: freeColor(drawing.regions),
        };
    }

    const find = (drawing, id) => drawing.regions.find(r => r.id === id) ?? null;
    const withRegions = (drawing, regions) => ({...drawing, regions});
    const added = (drawing, region) => withRegions(drawing, [...drawing.regions, region]);
    const removed = (drawing, id) => withRegions(drawing, drawing.regions.filter(r => r.id !== id));

    function changed(drawing, id, change) {
        return withRegions(drawing, drawing.regions.map(r => (r.id === id ? {...r, ...change} : r)));
    }

    /** The region one place up (+1) or down (-1) in the pile. */
    function raised(drawing, id, by) {
        const from = drawing.regions.findIndex(r => r.id === id);
        const to = from + by;
        if (from < 0 || to < 0 || to >= drawing.regions.length) return drawing;
        const regions = [...drawing.regions];
        regions.splice(to, 0, ...regions.splice(from, 1));
        return withRegions(drawing, regions);
    }

    /** A copy right above the original; a rectangle or polygon a little beside it. */
    function duplicated(drawing, id) {
        const original = find(drawing, id);
        const copy = {
            ...original, id: newId(), color: freeColor(drawing.regions),
            name: `${original.name || "Region"} copy`.slice(0, LIMITS.name),
            shape: nudged(original.shape, 0.02, 0.02),
        };
        const regions = [...drawing.regions];
        regions.splice(regions.indexOf(original) + 1, 0, copy);
        return {drawing: withRegions(drawing, regions), id: copy.id};
    }

    /** A rectangle or polygon moved by fractions of the canvas; a mask stays. */
    function nudged(shape, dx, dy) {
        if (shape.type === "mask") return shape;
        const from = boundsOf(shape);
        return editor.geometry.reshaped(shape, from, {...from, x: from.x + dx, y: from.y + dy});
    }

    function boundsOf(shape) {
        if (shape.type === "polygon") return editor.geometry.boundsOfPoints(shape.points);
        const {x, y, width, height} = shape;
        return {x, y, width, height};
    }

    const active = drawing => drawing.regions.filter(r => r.enabled && r.weight > 0);

    /** The JSON form of a region setup, as the API takes it. */
    function toSetup(drawing) {
        const regions = drawing.regions.map(({id, ...region}) => region);
        return {version: 1, overlap: drawing.overlap, regions};
    }

    /** A drawing from a setup that the server has checked. */
    function fromSetup(setup, canvas) {
        const drawing = {...emptyDrawing(canvas), overlap: setup.overlap ?? "weight"};
        for (const given of setup.regions) {
            const region = {...newRegion(drawing, given.shape), ...given};
            region.color ||= freeColor(drawing.regions);
            drawing.regions.push(region);
        }
        return drawing;
    }

    const toDocument = drawing => ({canvas: drawing.canvas, setup: toSetup(drawing)});
    const fromDocument = document => fromSetup(document.setup, document.canvas);

    editor.model = {
        LIMITS, emptyDrawing, newRegion, find, added, removed, changed, raised, duplicated, boundsOf, nudged, active,
        toSetup, fromSetup, toDocument, fromDocument,
    };
})(globalThis.instantasEditor ??= {});
