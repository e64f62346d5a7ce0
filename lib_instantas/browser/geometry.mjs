// Boxes and shapes in fractions of the canvas, x to the right and y down, and where the canvas stands on the screen.

/** Decimals that are kept: 1e-6 of the largest canvas is a thirtieth of a pixel. */
const PRECISION = 1e6;

/** CSS pixels between the canvas and its frame. */
const MARGIN = 22;

const ZOOMS = [1, 16];

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
export const rounded = value => Math.round(value * PRECISION) / PRECISION;

export function roundedBox({x, y, width, height}) {
    return {x: rounded(x), y: rounded(y), width: rounded(width), height: rounded(height)};
}

/** The part of the canvas between two opposite corners, cut off at the canvas's border. */
export function boxBetween(a, b) {
    const [left, right] = [a.x, b.x].map(v => clamp(v, 0, 1)).sort((p, q) => p - q);
    const [top, bottom] = [a.y, b.y].map(v => clamp(v, 0, 1)).sort((p, q) => p - q);
    return {x: left, y: top, width: right - left, height: bottom - top};
}

export function boundsOfPoints(points) {
    const xs = points.map(p => p[0]);
    const ys = points.map(p => p[1]);
    const [x, y] = [Math.min(...xs), Math.min(...ys)];
    return {x, y, width: Math.max(...xs) - x, height: Math.max(...ys) - y};
}

/** A point's place in `to` that it had in `from`. */
function mapped([x, y], from, to) {
    const across = from.width ? (x - from.x) / from.width : 0;
    const down = from.height ? (y - from.y) / from.height : 0;
    return [rounded(to.x + across * to.width), rounded(to.y + down * to.height)];
}

/** A rectangle or polygon moved and stretched so that its bounds go from one box to another. */
export function reshaped(shape, from, to) {
    if (shape.type === "rectangle") return {type: "rectangle", ...roundedBox(to)};
    return {type: "polygon", points: shape.points.map(p => mapped(p, from, to))};
}

/** The nearest of `lines` within `reach`, or the value itself. */
export function snapped(value, lines, reach) {
    let best = value;
    let distance = reach;
    for (const line of lines) {
        if (Math.abs(line - value) < distance) [best, distance] = [line, Math.abs(line - value)];
    }
    return best;
}

/** How far to move a span so that its start or its end meets the nearest of `lines`. */
export function snapOffset(start, length, lines, reach) {
    const byStart = snapped(start, lines, reach) - start;
    const byEnd = snapped(start + length, lines, reach) - start - length;
    if (!byStart || !byEnd) return byStart || byEnd;
    return Math.abs(byStart) <= Math.abs(byEnd) ? byStart : byEnd;
}

/** Keep at least a corner of a moved box within reach of the canvas. */
export function keptNear(box, margin = 0.02) {
    return {
        ...box,
        x: clamp(box.x, margin - box.width, 1 - margin),
        y: clamp(box.y, margin - box.height, 1 - margin),
    };
}

/** The canvas's place in the editor's frame: its true aspect ratio, zoom and pan. Frame units are CSS pixels. */
export class Viewport {
    constructor() {
        this.frame = {width: 0, height: 0};
        this.canvas = {width: 1, height: 1};
        this.zoom = 1;
        this.center = {x: 0.5, y: 0.5};
    }

    /** The frame's height in which the canvas fills the width, as far as the window allows. */
    heightFor(width, windowHeight) {
        const wanted = (width - 2 * MARGIN) * this.canvas.height / this.canvas.width + 2 * MARGIN;
        return Math.round(clamp(wanted, 170, Math.max(300, windowHeight * 0.62)));
    }

    /** The canvas's place in the frame. */
    get board() {
        const {frame, canvas, zoom, center} = this;
        const fit = Math.min((frame.width - 2 * MARGIN) / canvas.width, (frame.height - 2 * MARGIN) / canvas.height);
        const scale = Math.max(fit, 1e-4) * zoom;
        const [width, height] = [canvas.width * scale, canvas.height * scale];
        const place = (length, size, middle) => (size <= length ? (length - size) / 2 : length / 2 - middle * size);
        return {x: place(frame.width, width, center.x), y: place(frame.height, height, center.y), width, height};
    }

    toFrame({x, y}) {
        const board = this.board;
        return {x: board.x + x * board.width, y: board.y + y * board.height};
    }

    toFraction({x, y}) {
        const board = this.board;
        return {x: (x - board.x) / board.width, y: (y - board.y) / board.height};
    }

    boxToFrame(box) {
        const board = this.board;
        return {...this.toFrame(box), width: box.width * board.width, height: box.height * board.height};
    }

    boxToFraction(box) {
        const board = this.board;
        return {...this.toFraction(box), width: box.width / board.width, height: box.height / board.height};
    }

    /** Zoom by a factor and keep the point under `at` (frame) where it is. */
    zoomBy(factor, at = {x: this.frame.width / 2, y: this.frame.height / 2}) {
        const point = this.toFraction(at);
        this.zoom = clamp(this.zoom * factor, ...ZOOMS);
        const moved = this.toFrame(point);
        this.panBy(at.x - moved.x, at.y - moved.y);
    }

    panBy(dx, dy) {
        const board = this.board;
        this.center = {
            x: clamp(this.center.x - dx / board.width, 0, 1),
            y: clamp(this.center.y - dy / board.height, 0, 1),
        };
    }

    fit() {
        this.zoom = 1;
        this.center = {x: 0.5, y: 0.5};
    }
}
