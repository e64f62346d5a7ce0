// What the canvas library draws: regions, the tile grid, and a polygon's corners.

import * as geometry from "./geometry.mjs";
import Konva from "./konva.mjs";
import * as mask from "./mask.mjs";
import * as model from "./model.mjs";

/** Pixels that a region's name may take on the canvas. */
const LONGEST_NAME = 160;

const FILL = {plain: 0.18, selected: 0.26};

export function faded(color, alpha) {
    const number = parseInt(color.slice(1), 16);
    return `rgba(${number >> 16}, ${(number >> 8) & 255}, ${number & 255}, ${alpha})`;
}

/** A shape's bounds in fractions; null for an empty mask or one that is still being decoded. */
export function boundsOf(shape, masks) {
    if (shape.type === "mask") return masks.get(shape.png)?.bounds ?? null;
    return model.boundsOf(shape);
}

function look(region, selected) {
    const color = region.color;
    return {
        fill: region.enabled ? faded(color, selected ? FILL.selected : FILL.plain) : faded(color, 0.06),
        stroke: color,
        strokeWidth: selected ? 2 : 1.25,
        dash: region.enabled ? undefined : [6, 5],
        strokeScaleEnabled: false,
    };
}

function rectangle(region, box, style) {
    return new Konva.Rect({...box, ...style});
}

function polygon(region, box, style, viewport) {
    const points = region.shape.points.flatMap(([x, y]) => {
        const p = viewport.toFrame({x, y});
        return [p.x - box.x, p.y - box.y];
    });
    return new Konva.Line({...box, ...style, points, closed: true});
}

/** The painted part as a picture in the region's colour; only what is painted can be taken hold of. */
function painted(region, box, style, viewport, masks) {
    const {raster, bounds} = masks.get(region.shape.png);
    const crop = {
        x: bounds.x * raster.width, y: bounds.y * raster.height,
        width: bounds.width * raster.width, height: bounds.height * raster.height,
    };
    const image = mask.tinted(raster, region.color);
    const node = new Konva.Image({...box, image, crop, opacity: region.enabled ? 0.4 : 0.12});
    node.hitFunc(context => hitPainted(context, node, raster, crop));
    return node;
}

function hitPainted(context, node, raster, crop) {
    const solid = mask.tinted(raster, node.colorKey);
    context._context.imageSmoothingEnabled = false;
    context.drawImage(solid, crop.x, crop.y, crop.width, crop.height, 0, 0, node.width(), node.height());
}

const MAKERS = {rectangle, polygon, mask: painted};

/** The node of a region, or null where there is nothing to show. */
export function nodeOf(region, selected, viewport, masks) {
    const bounds = boundsOf(region.shape, masks);
    if (!bounds) return null;
    const box = viewport.boxToFrame(bounds);
    const node = MAKERS[region.shape.type](region, box, look(region, selected), viewport, masks);
    node.setAttrs({id: region.id, name: "region", perfectDrawEnabled: false});
    return node;
}

/** The soft border of a box or polygon as a band as wide as its ramp; null where there is none to show. */
export function featherOf(region, viewport, masks) {
    const {type} = region.shape;
    if (!region.feather || type === "mask") return null;
    const {width, height} = viewport.board;
    const style = {
        stroke: faded(region.color, region.enabled ? FILL.plain : 0.06),
        strokeWidth: region.feather * Math.min(width, height),
        lineJoin: "round",
    };
    const node = MAKERS[type](region, viewport.boxToFrame(boundsOf(region.shape, masks)), style, viewport);
    node.setAttrs({name: "feather", listening: false});
    return node;
}

/** A small name plate at the region's upper left corner, kept on the canvas. */
export function labelOf(region, viewport, masks) {
    const bounds = boundsOf(region.shape, masks);
    if (!bounds || !region.name) return null;
    const at = viewport.toFrame({x: Math.max(0, bounds.x), y: Math.max(0, bounds.y)});
    const label = new Konva.Label({x: at.x + 3, y: at.y + 3, opacity: region.enabled ? 1 : 0.5, listening: false});
    label.add(new Konva.Tag({fill: region.color, cornerRadius: 3}));
    const name = new Konva.Text({
        text: region.name, fontSize: 11, padding: 3, fill: "#fff", fontFamily: "system-ui, sans-serif", wrap: "none",
    });
    if (name.width() > LONGEST_NAME) name.setAttrs({width: LONGEST_NAME, ellipsis: true});
    label.add(name);
    return label;
}

/** A shape after its node was moved or stretched. */
export function shapeFromNode(node, region, viewport, masks) {
    const from = boundsOf(region.shape, masks);
    const size = viewport.boxToFrame(from);
    const to = viewport.boxToFraction({
        x: node.x(), y: node.y(), width: size.width * node.scaleX(), height: size.height * node.scaleY(),
    });
    return reshaped(region.shape, from, to, masks);
}

export function reshaped(shape, from, to, masks) {
    const kept = geometry.keptNear(to);
    if (shape.type !== "mask") return geometry.reshaped(shape, from, kept);
    return {type: "mask", png: masks.put(mask.reshaped(masks.get(shape.png).raster, from, kept))};
}

const EVEN = "rgba(0, 0, 0, 0.05)";

/** The grid that a plan document holds for a step counted from 0; steps beyond the last show the last. */
export function gridAt(plan, step) {
    return plan.plans[plan.steps[Math.min(step, plan.steps.length - 1)]];
}

/** The tiles of a step as boxes of the frame. */
export function gridBoxes(plan, step, viewport) {
    const {height, width} = plan.canvas;
    return gridAt(plan, step).rectangles.map(([y, x, h, w]) =>
        viewport.boxToFrame({x: x / width, y: y / height, width: w / width, height: h / height}));
}

/** One node for all tiles: thousands of nodes would take seconds at each stroke of a brush. */
export function drawGrid(layer, plan, step, viewport) {
    const tiles = gridBoxes(plan, step, viewport);
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

export function showVertices(stage, region) {
    const {points} = region.shape;
    points.forEach((point, i) => {
        const next = points[(i + 1) % points.length];
        const middle = [(point[0] + next[0]) / 2, (point[1] + next[1]) / 2];
        if (points.length < model.LIMITS.points) handle(stage, region, middle, 4, to => inserted(points, i + 1, to));
    });
    points.forEach((point, i) => {
        const corner = handle(stage, region, point, 6, to => points.map((p, n) => (n === i ? to : p)));
        corner.on("dblclick dbltap", () => remove(stage, region, i));
    });
}

const inserted = (points, at, point) => [...points.slice(0, at), point, ...points.slice(at)];

function handle(stage, region, [x, y], radius, pointsWith) {
    const coarse = matchMedia("(pointer: coarse)").matches;
    const circle = new Konva.Circle({
        ...stage.viewport.toFrame({x, y}), radius, fill: radius > 5 ? "#fff" : region.color, stroke: region.color,
        strokeWidth: 2, draggable: true, hitStrokeWidth: coarse ? 26 : 10,
    });
    circle.on("dragmove", () => circle.position(stage.snappedPoint(circle.position())));
    circle.on("dragend", () => {
        const to = stage.viewport.toFraction(circle.position());
        commit(stage, region, pointsWith([geometry.rounded(to.x), geometry.rounded(to.y)]));
    });
    stage.layers.front.add(circle);
    return circle;
}

function remove(stage, region, i) {
    if (region.shape.points.length > 3) commit(stage, region, region.shape.points.filter((_, n) => n !== i));
}

function commit(stage, region, points) {
    stage.store.settle();
    stage.store.commit(model.changed(stage.store.drawing, region.id, {shape: {type: "polygon", points}}));
}
