// What the pointer does: each tool gets `down`, `move` and `up` with the event and draws its draft on the stage's
// front layer. `finish` and `cancel` end what it has begun.

import * as geometry from "./geometry.mjs";
import Konva from "./konva.mjs";
import * as mask from "./mask.mjs";
import * as model from "./model.mjs";
import * as nodes from "./nodes.mjs";
import {text} from "./texts.mjs";

/** A drag shorter than this, in CSS pixels, is a click. */
const SLIP = 4;

class Tool {
    constructor(stage) {
        this.stage = stage;
        this.store = stage.store;
    }

    down() {}
    move() {}
    up() {}
    finish() {}
    cancel() {}

    draft(node) {
        this.stage.layers.front.add(node);
        return node;
    }

    style(extra = {}) {
        const color = this.region?.color ?? model.newRegion(this.store.drawing, null).color;
        return {stroke: color, strokeWidth: 2, dash: [6, 4], fill: nodes.faded(color, 0.2), ...extra};
    }

    /** Put a new region on top, selected, ready to be adjusted. */
    add(shape, tool = "select") {
        const {drawing} = this.store;
        if (drawing.regions.length >= model.LIMITS.regions) {
            this.stage.say(text("At most {most} regions.", {most: model.LIMITS.regions}), true);
            return;
        }
        const region = model.newRegion(drawing, shape);
        this.store.settle();
        this.store.commit(model.added(drawing, region), {view: {selected: region.id, tool}});
    }
}

class RectangleTool extends Tool {
    down(event) {
        this.start = this.stage.pointOf(event, true);
        this.node = this.draft(new Konva.Rect(this.style()));
    }

    move(event) {
        if (!this.start) return;
        this.box = geometry.boxBetween(this.start, this.stage.pointOf(event, true));
        this.node.setAttrs(this.stage.viewport.boxToFrame(this.box));
    }

    up() {
        const box = this.box;
        const size = box && this.stage.viewport.boxToFrame(box);
        this.cancel();
        if (size && Math.min(size.width, size.height) >= SLIP) {
            this.add({type: "rectangle", ...geometry.roundedBox(box)});
        }
    }

    cancel() {
        this.node?.destroy();
        this.start = this.box = this.node = null;
    }
}

class PolygonTool extends Tool {
    constructor(stage) {
        super(stage);
        this.points = [];
    }

    down(event) {
        const point = this.stage.pointOf(event, true);
        if (this.points.length >= 3 && this.isNear(point, this.points[0])) return this.finish();
        if (this.points.length && this.isNear(point, this.points.at(-1))) {
            if (event.detail > 1) this.finish();
            return;
        }
        if (this.points.length < model.LIMITS.points) this.points.push(point);
        this.redraw(point);
    }

    move(event) {
        if (this.points.length) this.redraw(this.stage.pointOf(event, true));
    }

    isNear(a, b) {
        const [p, q] = [a, b].map(point => this.stage.viewport.toFrame(point));
        return Math.hypot(p.x - q.x, p.y - q.y) < 3 * SLIP;
    }

    redraw(last) {
        this.node?.destroy();
        const points = [...this.points, last].map(point => this.stage.viewport.toFrame(point));
        this.node = new Konva.Group();
        this.node.add(new Konva.Line({...this.style(), points: points.flatMap(p => [p.x, p.y]), closed: points.length > 2}));
        this.node.add(new Konva.Circle({...points[0], radius: 6, stroke: this.style().stroke, fill: "#fff", strokeWidth: 2}));
        this.draft(this.node);
    }

    undoPoint() {
        if (!this.points.length) return false;
        this.points.pop();
        if (this.points.length) this.redraw(this.points.at(-1));
        else this.cancel();
        return true;
    }

    finish() {
        const points = this.points.map(({x, y}) => [geometry.rounded(x), geometry.rounded(y)]);
        this.cancel();
        if (points.length >= 3) this.add({type: "polygon", points});
    }

    cancel() {
        this.node?.destroy();
        this.node = null;
        this.points = [];
    }
}

/** Paints the selected region's mask, or erases from it; a region of another shape becomes a mask first. */
class BrushTool extends Tool {
    constructor(stage, erase) {
        super(stage);
        this.erase = erase;
    }

    get region() {
        return this.store.selected;
    }

    down(event) {
        if (this.erase && !this.region) {
            this.stage.say(text("Select the region to erase from."), true);
            return;
        }
        this.raster = this.begin();
        this.last = null;
        this.paint(event);
    }

    /** A mask to paint on, or null while the region's own is still being decoded. */
    begin() {
        const size = mask.sizeFor(this.store.drawing.canvas);
        const shape = this.region?.shape;
        if (!shape) return mask.blank(size);
        if (shape.type !== "mask") return mask.rasterised(shape, size);
        const entry = this.stage.masks.get(shape.png);
        return entry && mask.copyOf(entry.raster, size);
    }

    move(event) {
        if (!this.raster) return;
        const events = event.getCoalescedEvents?.() ?? [];
        for (const e of events.length ? events : [event]) this.paint(e);
    }

    paint(event) {
        const point = this.stage.pointOf(event);
        mask.stroke(this.raster, this.store.drawing.canvas, this.last ?? point, point, this.store.view.brush, this.erase);
        this.last = point;
        this.show();
    }

    show() {
        this.node?.destroy();
        const {stage} = this;
        stage.layers.regions.findOne(`#${this.region?.id}`)?.hide();
        const image = mask.tinted(this.raster, this.style().stroke);
        this.node = this.draft(new Konva.Image({...stage.viewport.board, image, opacity: 0.6}));
    }

    up() {
        if (!this.raster) return;
        const shape = {type: "mask", png: this.stage.masks.put(this.raster)};
        const {region} = this;
        const tool = this.store.view.tool;
        this.cancel();
        if (!region) return this.add(shape, tool);
        this.store.settle();
        this.store.commit(model.changed(this.store.drawing, region.id, {shape}));
    }

    cancel() {
        this.node?.destroy();
        this.raster = this.node = null;
        this.stage.render();
    }
}

export const makeTools = stage => ({
    select: new Tool(stage),
    rectangle: new RectangleTool(stage),
    polygon: new PolygonTool(stage),
    brush: new BrushTool(stage, false),
    eraser: new BrushTool(stage, true),
});
