"use strict";

// What the pointer does: each tool gets `down`, `move` and `up` with the event and draws its draft on the stage's
// front layer. `finish` and `cancel` end what it has begun.
(function (editor) {
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
            const color = this.region?.color ?? editor.model.newRegion(this.store.drawing, null).color;
            return {stroke: color, strokeWidth: 2, dash: [6, 4], fill: editor.shapes.faded(color, 0.2), ...extra};
        }

        /** Put a new region on top, selected, ready to be adjusted. */
        add(shape, tool = "select") {
            const {drawing} = this.store;
            if (drawing.regions.length >= editor.model.LIMITS.regions) {
                this.stage.say(`At most ${editor.model.LIMITS.regions} regions.`, true);
                return;
            }
            const region = editor.model.newRegion(drawing, shape);
            this.store.settle();
            this.store.commit(editor.model.added(drawing, region), {view: {selected: region.id, tool}});
        }
    }

    class RectangleTool extends Tool {
        down(event) {
            this.start = this.stage.pointOf(event, true);
            this.node = this.draft(new this.stage.Konva.Rect(this.style()));
        }

        move(event) {
            if (!this.start) return;
            this.box = editor.geometry.boxBetween(this.start, this.stage.pointOf(event, true));
            this.node.setAttrs(this.stage.viewport.boxToFrame(this.box));
        }

        up() {
            const box = this.box;
            const size = box && this.stage.viewport.boxToFrame(box);
            this.cancel();
            if (size && Math.min(size.width, size.height) >= SLIP) {
                this.add({type: "rectangle", ...editor.geometry.roundedBox(box)});
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
            if (this.points.length < editor.model.LIMITS.points) this.points.push(point);
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
            this.node = new this.stage.Konva.Group();
            this.node.add(new this.stage.Konva.Line({...this.style(), points: points.flatMap(p => [p.x, p.y]), closed: points.length > 2}));
            this.node.add(new this.stage.Konva.Circle({...points[0], radius: 6, stroke: this.style().stroke, fill: "#fff", strokeWidth: 2}));
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
            const points = this.points.map(({x, y}) => [editor.geometry.rounded(x), editor.geometry.rounded(y)]);
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
                this.stage.say("Select the region to erase from.", true);
                return;
            }
            this.raster = this.begin();
            this.last = null;
            this.paint(event);
        }

        /** A mask to paint on, or null while the region's own is still being decoded. */
        begin() {
            const size = editor.mask.sizeFor(this.store.drawing.canvas);
            const shape = this.region?.shape;
            if (!shape) return editor.mask.blank(size);
            if (shape.type !== "mask") return editor.mask.rasterised(shape, size);
            const entry = this.stage.masks.get(shape.png);
            return entry && editor.mask.copyOf(entry.raster, size);
        }

        move(event) {
            if (!this.raster) return;
            const events = event.getCoalescedEvents?.() ?? [];
            for (const e of events.length ? events : [event]) this.paint(e);
        }

        paint(event) {
            const point = this.stage.pointOf(event);
            editor.mask.stroke(this.raster, this.store.drawing.canvas, this.last ?? point, point, this.store.view.brush, this.erase);
            this.last = point;
            this.show();
        }

        show() {
            this.node?.destroy();
            const {stage} = this;
            stage.layers.regions.findOne(`#${this.region?.id}`)?.hide();
            const image = editor.mask.tinted(this.raster, this.style().stroke);
            this.node = this.draft(new stage.Konva.Image({...stage.viewport.board, image, opacity: 0.6}));
        }

        up() {
            if (!this.raster) return;
            const shape = {type: "mask", png: this.stage.masks.put(this.raster)};
            const {region} = this;
            const tool = this.store.view.tool;
            this.cancel();
            if (!region) return this.add(shape, tool);
            this.store.settle();
            this.store.commit(editor.model.changed(this.store.drawing, region.id, {shape}));
        }

        cancel() {
            this.node?.destroy();
            this.raster = this.node = null;
            this.stage.render();
        }
    }

    const makeTools = stage => ({
        select: new Tool(stage),
        rectangle: new RectangleTool(stage),
        polygon: new PolygonTool(stage),
        brush: new BrushTool(stage, false),
        eraser: new BrushTool(stage, true),
    });

    editor.tools = {makeTools};
})(globalThis.instantasEditor ??= {});
