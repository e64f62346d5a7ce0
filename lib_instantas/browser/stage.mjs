// The drawing surface: shows the drawing, and lets regions be selected, moved and stretched. Tools draw on top of it.

import {element} from "./elements.mjs";
import * as geometry from "./geometry.mjs";
import {Viewport} from "./geometry.mjs";
import Konva from "./konva.mjs";
import * as model from "./model.mjs";
import * as nodes from "./nodes.mjs";

/** Edges are drawn to lines this near: CSS pixels, but never more than a share of a narrow canvas. */
const SNAP = 7;
const SNAP_SHARE = 0.02;
const SMALLEST = 4;

export class Stage {
    /** `masks` is a MaskCache, `store` the Store; the surface fills `frame`, an element of the page. */
    constructor(frame, store, masks) {
        Object.assign(this, {frame, store, masks, viewport: new Viewport(), plan: null, picture: null});
        this.image = element("img", {class: "ias-picture", alt: "", hidden: true, draggable: false});
        this.paper = frame.appendChild(element("div", {class: "ias-paper"}, this.image));
        const holder = frame.appendChild(element("div", {class: "ias-surface"}));
        this.konva = new Konva.Stage({container: holder, width: 1, height: 1});
        this.layers = {
            regions: this.addLayer(),
            grid: this.addLayer({listening: false}),
            front: this.addLayer(),
        };
        this.transformer = this.makeTransformer();
        this.konva.on("click tap", event => event.target === this.konva && this.pick(null));
        this.konva.on("mouseover mouseout", event => this.showCursor(event));
        new ResizeObserver(() => this.resize()).observe(frame);
    }

    addLayer(options) {
        const layer = new Konva.Layer(options);
        this.konva.add(layer);
        return layer;
    }

    makeTransformer() {
        const accent = getComputedStyle(this.frame).getPropertyValue("--ias-accent").trim() || "#f97316";
        const touch = matchMedia("(pointer: coarse)").matches;
        return new Konva.Transformer({
            rotateEnabled: false, flipEnabled: false, keepRatio: false, ignoreStroke: true,
            anchorSize: touch ? 18 : 10, anchorCornerRadius: 9, anchorStroke: accent, borderStroke: accent,
            anchorDragBoundFunc: (_, to) => this.snappedPoint(to),
            boundBoxFunc: (from, to) => (to.width < SMALLEST || to.height < SMALLEST ? from : to),
        });
    }

    /** Fit the surface to the room the page gives it. */
    resize() {
        const width = this.frame.clientWidth;
        if (!width) return;
        const height = this.viewport.heightFor(width, window.innerHeight);
        this.frame.style.height = `${height}px`;
        const {frame} = this.viewport;
        if (frame.width === width && frame.height === height) return;
        this.viewport.frame = {width, height};
        this.konva.size({width, height});
        this.render();
    }

    /** Draw everything anew from the store. */
    render() {
        const {drawing, view} = this.store;
        if (this.viewport.canvas !== drawing.canvas) {
            this.viewport.canvas = drawing.canvas;
            this.resize();
        }
        if (!this.viewport.frame.width) return;
        this.placePaper();
        this.renderRegions(drawing, view);
        this.renderGrid(view);
        this.renderFront(drawing, view);
    }

    placePaper() {
        const {x, y, width, height} = this.viewport.board;
        Object.assign(this.paper.style, {left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px`});
    }

    renderRegions(drawing, view) {
        const {regions} = this.layers;
        regions.destroyChildren();
        regions.listening(view.tool === "select");
        for (const region of drawing.regions) {
            const node = nodes.nodeOf(region, region.id === view.selected, this.viewport, this.masks);
            if (!node) continue;
            const feather = nodes.featherOf(region, this.viewport, this.masks);
            if (feather) regions.add(feather);
            regions.add(this.movable(node));
        }
        for (const region of drawing.regions) {
            const label = nodes.labelOf(region, this.viewport, this.masks);
            if (label) regions.add(label);
        }
    }

    /** Let a region's node be selected, dragged and stretched. */
    movable(node) {
        node.draggable(this.store.view.tool === "select");
        node.on("click tap", () => this.pick(node.id()));
        node.on("dragstart", () => this.transformer.nodes([node]));
        node.on("dragmove", () => this.snapNode(node));
        node.on("dragend transformend", () => this.reshape(node));
        return node;
    }

    renderGrid(view) {
        const layer = this.layers.grid;
        layer.destroyChildren();
        if (view.grid && this.plan) nodes.drawGrid(layer, this.plan, view.step, this.viewport);
    }

    renderFront(drawing, view) {
        const {front, regions} = this.layers;
        this.transformer.nodes([]);
        this.transformer.remove();
        front.destroyChildren();
        front.listening(view.tool === "select");
        front.add(this.transformer);
        const node = view.tool === "select" && view.selected && regions.findOne(`#${view.selected}`);
        if (node) this.transformer.nodes([node]);
        if (node && this.store.selected.shape.type === "polygon") nodes.showVertices(this, this.store.selected);
    }

    pick(id) {
        if (this.store.view.tool === "select") this.store.look({selected: id});
    }

    /** Take over into the drawing what was done to a node. */
    reshape(node) {
        const region = model.find(this.store.drawing, node.id());
        const shape = nodes.shapeFromNode(node, region, this.viewport, this.masks);
        this.store.settle();
        this.store.commit(model.changed(this.store.drawing, region.id, {shape}), {view: {selected: region.id}});
    }

    /** Frame positions that moved edges are drawn to: the canvas's border and middle, and other regions. */
    snapLines(axis, except) {
        const length = axis === "x" ? "width" : "height";
        const boxes = this.store.drawing.regions.filter(r => r.id !== except)
            .map(r => nodes.boundsOf(r.shape, this.masks)).filter(Boolean);
        const fractions = [0, 0.5, 1, ...boxes.flatMap(box => [box[axis], box[axis] + box[length]])];
        const board = this.viewport.board;
        return fractions.map(fraction => board[axis] + fraction * board[length]);
    }

    get snapReach() {
        const {width, height} = this.viewport.board;
        return {x: Math.min(SNAP, SNAP_SHARE * width), y: Math.min(SNAP, SNAP_SHARE * height)};
    }

    snappedPoint(point) {
        const reach = this.snapReach;
        const except = this.store.view.tool === "select" ? this.store.view.selected : null;
        const along = axis => geometry.snapped(point[axis], this.snapLines(axis, except), reach[axis]);
        return {x: along("x"), y: along("y")};
    }

    snapNode(node) {
        const {width, height} = node.getClientRect({skipStroke: true, skipShadow: true});
        const reach = this.snapReach;
        node.position({
            x: node.x() + geometry.snapOffset(node.x(), width, this.snapLines("x", node.id()), reach.x),
            y: node.y() + geometry.snapOffset(node.y(), height, this.snapLines("y", node.id()), reach.y),
        });
    }

    showCursor(event) {
        if (this.store.view.tool !== "select") return;
        const overRegion = event.type === "mouseover" && event.target.hasName?.("region");
        this.frame.style.cursor = overRegion ? "move" : "";
    }

    /** A reference picture (a URL) under the regions, or none. */
    showPicture(url) {
        this.picture = url;
        this.image.hidden = !url;
        if (url) this.image.src = url;
        else this.image.removeAttribute("src");
    }

    showPlan(plan) {
        this.plan = plan;
        this.renderGrid(this.store.view);
    }

    /** A pointer event's place in fractions of the canvas, drawn to nearby edges if `snap` and without Alt. */
    pointOf(event, snap = false) {
        const box = this.frame.getBoundingClientRect();
        const at = {x: event.clientX - box.left - this.frame.clientLeft, y: event.clientY - box.top - this.frame.clientTop};
        return this.viewport.toFraction(snap && !event.altKey ? this.snappedPoint(at) : at);
    }
}
