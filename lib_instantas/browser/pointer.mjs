// Pointer events of the surface: one finger or the mouse for the tools, two fingers or the wheel with Ctrl to zoom,
// two fingers, the middle button or an empty place to pan.

import {element} from "./elements.mjs";

const WHEEL = 0.0022;

export class Pointer {
    constructor(stage, tools, ring) {
        Object.assign(this, {stage, tools, ring, touches: new Map(), drawing: null, panning: null});
        const listen = (type, handler, options) => stage.frame.addEventListener(type, handler.bind(this), options);
        listen("pointerdown", this.down, {capture: true});
        listen("pointermove", this.move);
        listen("pointerup", this.up);
        listen("pointercancel", this.abandon);
        listen("pointerleave", () => this.ring.hide());
        listen("wheel", this.wheel, {passive: false});
    }

    get tool() {
        return this.tools[this.stage.store.view.tool];
    }

    down(event) {
        this.stage.frame.focus({preventScroll: true});
        if (event.pointerType === "touch") this.touches.set(event.pointerId, event);
        if (this.touches.size === 2) return this.beginPinch();
        if (this.drawing !== null) return;
        if (event.button === 1 || this.isPan(event)) this.panning = event;
        else if (event.button === 0 && this.stage.store.view.tool !== "select") this.drawing = event.pointerId;
        if (this.panning || this.drawing !== null) this.stage.frame.setPointerCapture(event.pointerId);
        if (this.drawing !== null) this.tool.down(event);
    }

    /** With the select tool, an empty place of a canvas that is larger than its frame is taken to move it. */
    isPan(event) {
        if (this.stage.store.view.tool !== "select" || this.stage.viewport.zoom === 1) return false;
        this.stage.konva.setPointersPositions(event);
        return !this.stage.konva.getIntersection(this.stage.konva.getPointerPosition());
    }

    move(event) {
        this.ring.follow(event);
        if (this.touches.has(event.pointerId)) {
            const before = this.touches.get(event.pointerId);
            this.touches.set(event.pointerId, event);
            if (this.touches.size === 2) return this.pinch(before, event);
        }
        if (this.panning) this.pan(event);
        else if (this.drawing === null || this.drawing === event.pointerId) this.tool.move(event);
    }

    up(event) {
        this.touches.delete(event.pointerId);
        this.panning = null;
        if (this.drawing !== event.pointerId) return;
        this.drawing = null;
        this.tool.up(event);
    }

    abandon(event) {
        this.touches.delete(event.pointerId);
        this.panning = null;
        if (this.drawing !== null) this.tool.cancel();
        this.drawing = null;
    }

    pan(event) {
        this.stage.viewport.panBy(event.clientX - this.panning.clientX, event.clientY - this.panning.clientY);
        this.panning = event;
        this.stage.render();
    }

    beginPinch() {
        if (this.drawing !== null) this.tool.cancel();
        this.drawing = this.panning = null;
        this.stage.konva.find(".region").forEach(node => node.stopDrag());
    }

    pinch(before, after) {
        const other = [...this.touches.values()].find(touch => touch.pointerId !== after.pointerId);
        const apart = event => Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY);
        const box = this.stage.frame.getBoundingClientRect();
        const at = {x: (after.clientX + other.clientX) / 2 - box.left, y: (after.clientY + other.clientY) / 2 - box.top};
        this.stage.viewport.panBy((after.clientX - before.clientX) / 2, (after.clientY - before.clientY) / 2);
        this.stage.viewport.zoomBy(apart(after) / Math.max(1, apart(before)), at);
        this.stage.render();
    }

    wheel(event) {
        if (!event.ctrlKey && !event.metaKey) return;
        event.preventDefault();
        const box = this.stage.frame.getBoundingClientRect();
        this.stage.viewport.zoomBy(Math.exp(-event.deltaY * WHEEL), {x: event.clientX - box.left, y: event.clientY - box.top});
        this.stage.render();
    }
}

/** The brush's outline around the pointer. */
export class BrushRing {
    constructor(stage) {
        this.stage = stage;
        this.node = stage.frame.appendChild(element("div", {class: "ias-brush-ring", hidden: true}));
    }

    follow(event) {
        const {tool, brush} = this.stage.store.view;
        this.node.hidden = event.pointerType === "touch" || !["brush", "eraser"].includes(tool);
        if (this.node.hidden) return;
        const {board, canvas} = this.stage.viewport;
        const size = brush * board.width / canvas.width;
        const box = this.stage.frame.getBoundingClientRect();
        const place = {left: event.clientX - box.left - size / 2, top: event.clientY - box.top - size / 2, width: size, height: size};
        for (const [name, value] of Object.entries(place)) this.node.style[name] = `${value}px`;
    }

    hide() {
        this.node.hidden = true;
    }
}
