"use strict";

// Regions as Konva nodes. A node's own box is its region's bounds, so that moving and stretching it means the same
// for every kind of shape.
(function (editor) {
    const FILL = {plain: 0.18, selected: 0.26};

    function faded(color, alpha) {
        const number = parseInt(color.slice(1), 16);
        return `rgba(${number >> 16}, ${(number >> 8) & 255}, ${number & 255}, ${alpha})`;
    }

    /** A shape's bounds in fractions; null for an empty mask or one that is still being decoded. */
    function boundsOf(shape, masks) {
        if (shape.type === "mask") return masks.get(shape.png)?.bounds ?? null;
        return editor.model.boundsOf(shape);
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

    function rectangle(Konva, region, box, style) {
        return new Konva.Rect({...box, ...style});
    }

    function polygon(Konva, region, box, style, viewport) {
        const points = region.shape.points.flatMap(([x, y]) => {
            const p = viewport.toFrame({x, y});
            return [p.x - box.x, p.y - box.y];
        });
        return new Konva.Line({...box, ...style, points, closed: true});
    }

    /** The painted part as a picture in the region's colour; only what is painted can be taken hold of. */
    function painted(Konva, region, box, style, viewport, masks) {
        const {raster, bounds} = masks.get(region.shape.png);
        const crop = {
            x: bounds.x * raster.width, y: bounds.y * raster.height,
            width: bounds.width * raster.width, height: bounds.height * raster.height,
        };
        const image = editor.mask.tinted(raster, region.color);
        const node = new Konva.Image({...box, image, crop, opacity: region.enabled ? 0.4 : 0.12});
        node.hitFunc(context => hitPainted(context, node, raster, crop));
        return node;
    }

    function hitPainted(context, node, raster, crop) {
        const solid = editor.mask.tinted(raster, node.colorKey);
        context._context.imageSmoothingEnabled = false;
        context.drawImage(solid, crop.x, crop.y, crop.width, crop.height, 0, 0, node.width(), node.height());
    }

    const MAKERS = {rectangle, polygon, mask: painted};

    /** The node of a region, or null where there is nothing to show. */
    function nodeOf(Konva, region, selected, viewport, masks) {
        const bounds = boundsOf(region.shape, masks);
        if (!bounds) return null;
        const box = viewport.boxToFrame(bounds);
        const node = MAKERS[region.shape.type](Konva, region, box, look(region, selected), viewport, masks);
        node.setAttrs({id: region.id, name: "region", perfectDrawEnabled: false});
        return node;
    }

    /** The soft border of a box or polygon as a band as wide as its ramp; null where there is none to show. */
    function featherOf(Konva, region, viewport, masks) {
        const {type} = region.shape;
        if (!region.feather || type === "mask") return null;
        const {width, height} = viewport.board;
        const style = {
            stroke: faded(region.color, region.enabled ? FILL.plain : 0.06),
            strokeWidth: region.feather * Math.min(width, height),
            lineJoin: "round",
        };
        const node = MAKERS[type](Konva, region, viewport.boxToFrame(boundsOf(region.shape, masks)), style, viewport);
        node.setAttrs({name: "feather", listening: false});
        return node;
    }

    /** A small name plate at the region's upper left corner, kept on the canvas. */
    function labelOf(Konva, region, viewport, masks) {
        const bounds = boundsOf(region.shape, masks);
        if (!bounds || !region.name) return null;
        const at = viewport.toFrame({x: Math.max(0, bounds.x), y: Math.max(0, bounds.y)});
        const label = new Konva.Label({x: at.x + 3, y: at.y + 3, opacity: region.enabled ? 1 : 0.5, listening: false});
        label.add(new Konva.Tag({fill: region.color, cornerRadius: 3}));
        label.add(new Konva.Text({
            text: region.name, fontSize: 11, padding: 3, fill: "#fff", fontFamily: "system-ui, sans-serif", wrap: "none",
            ellipsis: true, width: Math.min(160, 12 + 6.6 * region.name.length),
        }));
        return label;
    }

    /** A shape after its node was moved or stretched. */
    function shapeFromNode(node, region, viewport, masks) {
        const from = boundsOf(region.shape, masks);
        const size = viewport.boxToFrame(from);
        const to = viewport.boxToFraction({
            x: node.x(), y: node.y(), width: size.width * node.scaleX(), height: size.height * node.scaleY(),
        });
        return reshaped(region.shape, from, to, masks);
    }

    function reshaped(shape, from, to, masks) {
        const kept = editor.geometry.keptNear(to);
        if (shape.type !== "mask") return editor.geometry.reshaped(shape, from, kept);
        return {type: "mask", png: masks.put(editor.mask.reshaped(masks.get(shape.png).raster, from, kept))};
    }

    editor.shapes = {boundsOf, nodeOf, featherOf, labelOf, shapeFromNode, reshaped, faded};
})(globalThis.instantasEditor ??= {});
