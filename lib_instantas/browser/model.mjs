// The drawing: a canvas size in image pixels, and regions from the lowest to the uppermost. Values, never changed in place.
// The store holds the present one and its undo history.

import * as geometry from "./geometry.mjs";
import {text} from "./texts.mjs";

const COLORS = ["#e4572e", "#2e86ab", "#3fa34d", "#f2a541", "#8e5bd0", "#d6457f", "#17a398", "#9a6a3a", "#5b7fff", "#b0a41f"];
export const LIMITS = {regions: 32, name: 100, prompt: 10000, points: 512, weight: 10, side: [64, 32768]};
const DEFAULT_CANVAS = {width: 2048, height: 512};

/** Changes that can be undone. */
const DEPTH = 200;

let lastId = 0;
const newId = () => `r${++lastId}`;

export function emptyDrawing(canvas = DEFAULT_CANVAS) {
    return {canvas: {...canvas}, overlap: "weight", regions: []};
}

function freeColor(regions) {
    const taken = new Set(regions.map(r => r.color));
    return COLORS.find(c => !taken.has(c)) ?? COLORS[regions.length % COLORS.length];
}

function freeName(regions, base = text("Region")) {
    const taken = new Set(regions.map(r => r.name));
    for (let n = 1; ; n++) {
        if (!taken.has(`${base} ${n}`)) return `${base} ${n}`;
    }
}

export function newRegion(drawing, shape) {
    return {
        id: newId(), name: freeName(drawing.regions), enabled: true, shape,
        prompt: "", negative_prompt: "", weight: 1, feather: 0, color: freeColor(drawing.regions),
    };
}

export const find = (drawing, id) => drawing.regions.find(r => r.id === id) ?? null;
const withRegions = (drawing, regions) => ({...drawing, regions});
export const added = (drawing, region) => withRegions(drawing, [...drawing.regions, region]);
export const removed = (drawing, id) => withRegions(drawing, drawing.regions.filter(r => r.id !== id));

export function changed(drawing, id, change) {
    return withRegions(drawing, drawing.regions.map(r => (r.id === id ? {...r, ...change} : r)));
}

/** The region one place up (+1) or down (-1) in the pile. */
export function raised(drawing, id, by) {
    const from = drawing.regions.findIndex(r => r.id === id);
    const to = from + by;
    if (from < 0 || to < 0 || to >= drawing.regions.length) return drawing;
    const regions = [...drawing.regions];
    regions.splice(to, 0, ...regions.splice(from, 1));
    return withRegions(drawing, regions);
}

/** A copy right above the original; a rectangle or polygon a little beside it. */
export function duplicated(drawing, id) {
    const original = find(drawing, id);
    const copy = {
        ...original, id: newId(), color: freeColor(drawing.regions),
        name: text("{name} copy", {name: original.name || text("Region")}).slice(0, LIMITS.name),
        shape: nudged(original.shape, 0.02, 0.02),
    };
    const regions = [...drawing.regions];
    regions.splice(regions.indexOf(original) + 1, 0, copy);
    return {drawing: withRegions(drawing, regions), id: copy.id};
}

/** A rectangle or polygon moved by fractions of the canvas; a mask stays. */
export function nudged(shape, dx, dy) {
    if (shape.type === "mask") return shape;
    const from = boundsOf(shape);
    return geometry.reshaped(shape, from, {...from, x: from.x + dx, y: from.y + dy});
}

export function boundsOf(shape) {
    if (shape.type === "polygon") return geometry.boundsOfPoints(shape.points);
    const {x, y, width, height} = shape;
    return {x, y, width, height};
}

export const active = drawing => drawing.regions.filter(r => r.enabled && r.weight > 0);

/** The JSON form of a region setup, as the API takes it. */
export function toSetup(drawing) {
    const regions = drawing.regions.map(({id: _, ...region}) => region);
    return {version: 1, overlap: drawing.overlap, regions};
}

/** A drawing from a setup that the server has checked. */
export function fromSetup(setup, canvas) {
    const drawing = {...emptyDrawing(canvas), overlap: setup.overlap ?? "weight"};
    for (const given of setup.regions) {
        const region = {...newRegion(drawing, given.shape), ...given};
        region.color ||= freeColor(drawing.regions);
        drawing.regions.push(region);
    }
    return drawing;
}

export const toDocument = drawing => ({canvas: drawing.canvas, setup: toSetup(drawing)});
export const fromDocument = document => fromSetup(document.setup, document.canvas);

/** The drawing with its undo history, and the view's own state that is no part of it. */
export class Store {
    constructor(drawing, view) {
        this.drawing = drawing;
        this.view = view;
        this.past = [];
        this.future = [];
        this.mergeKey = null;
        this.listeners = [];
    }

    subscribe(listener) {
        this.listeners.push(listener);
    }

    /** Begin with another drawing, before anything was done. */
    begin(drawing) {
        this.drawing = drawing;
        this.look({});
    }

    /** Make a change that can be undone. Changes in a row with the same `merge` key are undone together. */
    commit(drawing, {merge = null, view = {}} = {}) {
        if (drawing !== this.drawing) {
            if (merge === null || merge !== this.mergeKey) this.past.push(this.drawing);
            if (this.past.length > DEPTH) this.past.shift();
            this.drawing = drawing;
            this.future = [];
            this.mergeKey = merge;
        }
        this.look(view);
    }

    /** End a row of changes that are undone together: a slider let go, a field left. */
    settle() {
        this.mergeKey = null;
    }

    /** Change the view's own state. */
    look(change) {
        this.view = {...this.view, ...change};
        if (!find(this.drawing, this.view.selected)) this.view.selected = null;
        for (const listener of this.listeners) listener(this.drawing, this.view);
    }

    undo() {
        this.step(this.past, this.future);
    }

    redo() {
        this.step(this.future, this.past);
    }

    step(from, to) {
        if (!from.length) return;
        to.push(this.drawing);
        this.drawing = from.pop();
        this.mergeKey = null;
        this.look({});
    }

    get selected() {
        return find(this.drawing, this.view.selected);
    }
}
