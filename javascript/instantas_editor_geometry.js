"use strict";

// Boxes and shapes in fractions of the canvas: x to the right, y down. Pure functions.
(function (editor) {
    /** Decimals that are kept: 1e-6 of the largest canvas is a thirtieth of a pixel. */
    const PRECISION = 1e6;

    const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
    const rounded = value => Math.round(value * PRECISION) / PRECISION;

    function roundedBox({x, y, width, height}) {
        return {x: rounded(x), y: rounded(y), width: rounded(width), height: rounded(height)};
    }

    /** The part of the canvas between two opposite corners, cut off at the canvas's border. */
    function boxBetween(a, b) {
        const [left, right] = [a.x, b.x].map(v => clamp(v, 0, 1)).sort((p, q) => p - q);
        const [top, bottom] = [a.y, b.y].map(v => clamp(v, 0, 1)).sort((p, q) => p - q);
        return {x: left, y: top, width: right - left, height: bottom - top};
    }

    function boundsOfPoints(points) {
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
    function reshaped(shape, from, to) {
        if (shape.type === "rectangle") return {type: "rectangle", ...roundedBox(to)};
        return {type: "polygon", points: shape.points.map(p => mapped(p, from, to))};
    }

    /** The nearest of `lines` within `reach`, or the value itself. */
    function snapped(value, lines, reach) {
        let best = value;
        let distance = reach;
        for (const line of lines) {
            if (Math.abs(line - value) < distance) [best, distance] = [line, Math.abs(line - value)];
        }
        return best;
    }

    /** How far to move a span so that its start or its end meets the nearest of `lines`. */
    function snapOffset(start, length, lines, reach) {
        const byStart = snapped(start, lines, reach) - start;
        const byEnd = snapped(start + length, lines, reach) - start - length;
        if (!byStart || !byEnd) return byStart || byEnd;
        return Math.abs(byStart) <= Math.abs(byEnd) ? byStart : byEnd;
    }

    /** Keep at least a corner of a moved box within reach of the canvas. */
    function keptNear(box, margin = 0.02) {
        return {
            ...box,
            x: clamp(box.x, margin - box.width, 1 - margin),
            y: clamp(box.y, margin - box.height, 1 - margin),
        };
    }

    editor.geometry = {clamp, rounded, roundedBox, boxBetween, boundsOfPoints, reshaped, snapped, snapOffset, keptNear};
})(globalThis.instantasEditor ??= {});
