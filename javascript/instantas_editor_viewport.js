"use strict";

// Where the canvas stands in the editor's frame: its true aspect ratio, zoom and pan. Frame units are CSS pixels.
(function (editor) {
    const MARGIN = 22;
    const ZOOMS = [1, 16];
    const clamp = (...numbers) => editor.geometry.clamp(...numbers);

    class Viewport {
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

    editor.Viewport = Viewport;
})(globalThis.instantasEditor ??= {});
