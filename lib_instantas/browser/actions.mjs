// What buttons, keys and menus do to the drawing.

import * as mask from "./mask.mjs";
import * as model from "./model.mjs";
import * as nodes from "./nodes.mjs";
import {text} from "./texts.mjs";

const LATENT = 8;
const COARSE = 64;

export class Actions {
    constructor(store, stage, masks, tools) {
        Object.assign(this, {store, stage, masks, tools});
    }

    setTool(tool) {
        this.tools[this.store.view.tool].cancel();
        this.store.look({tool});
    }

    change(id, change, merge = null) {
        this.store.commit(model.changed(this.store.drawing, id, change), {merge: merge && `${merge}/${id}`});
    }

    remove(id) {
        this.store.commit(model.removed(this.store.drawing, id));
    }

    duplicate(id) {
        if (this.store.drawing.regions.length >= model.LIMITS.regions) {
            return this.stage.say(text("At most {most} regions.", {most: model.LIMITS.regions}), true);
        }
        const {drawing, id: copy} = model.duplicated(this.store.drawing, id);
        this.store.commit(drawing, {view: {selected: copy}});
    }

    raise(id, by) {
        this.store.commit(model.raised(this.store.drawing, id, by));
    }

    /** Move (or with `stretch` resize) the selected region by image pixels. */
    nudge(dx, dy, stretch = false) {
        const region = this.store.selected;
        const from = region && nodes.boundsOf(region.shape, this.masks);
        if (!from) return;
        const {width, height} = this.store.drawing.canvas;
        const [x, y] = [dx / width, dy / height];
        const to = stretch
            ? {...from, width: Math.max(LATENT / width, from.width + x), height: Math.max(LATENT / height, from.height + y)}
            : {...from, x: from.x + x, y: from.y + y};
        this.change(region.id, {shape: nodes.reshaped(region.shape, from, to, this.masks)}, "nudge");
    }

    /** Give the selected region these bounds, in fractions. */
    place(region, to) {
        const from = nodes.boundsOf(region.shape, this.masks);
        this.change(region.id, {shape: nodes.reshaped(region.shape, from, {...from, ...to}, this.masks)}, "place");
    }

    addCentredRectangle() {
        this.tools.rectangle.add({type: "rectangle", x: 0.25, y: 0.25, width: 0.5, height: 0.5});
    }

    setCanvas(change) {
        const canvas = {...this.store.drawing.canvas, ...change};
        this.store.commit({...this.store.drawing, canvas}, {merge: "canvas"});
    }

    setOverlap(overlap) {
        this.store.commit({...this.store.drawing, overlap});
    }

    invert(region) {
        const entry = region.shape.type === "mask" ? this.masks.get(region.shape.png) : null;
        const raster = entry?.raster ?? mask.rasterised(region.shape, mask.sizeFor(this.store.drawing.canvas));
        this.change(region.id, {shape: {type: "mask", png: this.masks.put(mask.inverted(raster))}});
    }

    /** A new region from a picture file: white is inside. */
    async uploadMask(file) {
        const url = URL.createObjectURL(file);
        try {
            const picture = await mask.loadPicture(url);
            const raster = mask.fromPicture(picture, mask.sizeFor(this.store.drawing.canvas));
            if (!mask.bounds(raster)) return this.stage.say(text("This mask is black all over: white is inside."), true);
            this.tools.brush.add({type: "mask", png: this.masks.put(raster)});
        } catch (error) {
            this.stage.say(error.message, true);
        } finally {
            URL.revokeObjectURL(url);
        }
    }

    /** Replace the whole drawing; can be undone. */
    replace(drawing) {
        this.store.settle();
        this.store.commit(drawing, {view: {selected: null, tool: "select"}});
        this.stage.viewport.fit();
    }

    clear() {
        this.replace(model.emptyDrawing(this.store.drawing.canvas));
    }

    zoom(factor) {
        if (factor) this.stage.viewport.zoomBy(factor);
        else this.stage.viewport.fit();
        this.stage.render();
    }
}

const TOOL_KEYS = {v: "select", r: "rectangle", p: "polygon", b: "brush", e: "eraser"};
const ARROWS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};

/** Keys that work while the surface (or anything in the editor that takes no text) has the focus. */
export function onKey(event, actions) {
    if (event.target.closest("input:not([type=range]), textarea, select")) return;
    const handled = event.ctrlKey || event.metaKey ? withControl(event, actions) : plain(event, actions);
    if (!handled) return;
    event.preventDefault();
    event.stopPropagation();
}

function withControl(event, actions) {
    const key = event.key.toLowerCase();
    const {store} = actions;
    if (key === "z" && !event.shiftKey) return actions.tools.polygon.undoPoint() || (store.undo(), true);
    if (key === "y" || key === "z") return store.redo(), true;
    if (key === "d" && store.selected) return actions.duplicate(store.view.selected), true;
    return false;
}

function plain(event, actions) {
    if (event.target.type === "range") return false;
    const {store} = actions;
    const tool = TOOL_KEYS[event.key.toLowerCase()];
    if (tool && !event.altKey) return actions.setTool(tool), true;
    if (event.key in ARROWS && store.selected) return arrow(event, actions);
    const keys = {
        Delete: () => remove(actions),
        Backspace: () => actions.tools.polygon.undoPoint() || remove(actions),
        Escape: () => escape(actions),
        Enter: () => enter(event, actions),
        "[": () => (store.look({brush: Math.max(8, Math.round(store.view.brush / 1.25))}), true),
        "]": () => (store.look({brush: Math.min(1024, Math.round(store.view.brush * 1.25))}), true),
    };
    return keys[event.key]?.() ?? false;
}

function arrow(event, actions) {
    const step = event.shiftKey ? COARSE : LATENT;
    const [x, y] = ARROWS[event.key];
    actions.nudge(x * step, y * step, event.altKey);
    return true;
}

function remove({store}) {
    if (!store.selected) return false;
    store.commit(model.removed(store.drawing, store.view.selected));
    return true;
}

function escape(actions) {
    const {store} = actions;
    actions.tools[store.view.tool].cancel();
    store.look(store.view.tool === "select" ? {selected: null} : {tool: "select"});
    return true;
}

/** Closes a polygon; with the rectangle tool, draws one without a pointer. A button keeps its own Enter. */
function enter(event, actions) {
    if (event.target.closest("button, summary")) return false;
    const {tool} = actions.store.view;
    if (tool === "polygon") actions.tools.polygon.finish();
    else if (tool === "rectangle") actions.addCentredRectangle();
    return ["polygon", "rectangle"].includes(tool);
}
