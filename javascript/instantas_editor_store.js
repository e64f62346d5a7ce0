"use strict";

// The drawing with its undo history, and the view's own state that is no part of it.
(function (editor) {
    const DEPTH = 200;

    class Store {
        constructor(drawing, view) {
            this.drawing = drawing;
            this.view = view;
            this.past = [];
            this.future = [];
            this.mergeKey = null;
            this.listeners = [];
        }

        subscribe(listener) {
            this.listeners.push(listener);
        }

        /** Make a change that can be undone. Changes in a row with the same `merge` key are undone together. */
        commit(drawing, {merge = null, view = {}} = {}) {
            if (drawing !== this.drawing) {
                if (merge === null || merge !== this.mergeKey) this.past.push(this.drawing);
                if (this.past.length > DEPTH) this.past.shift();
                this.drawing = drawing;
                this.future = [];
                this.mergeKey = merge;
            }
            this.look(view);
        }

        /** End a row of changes that are undone together: a slider let go, a field left. */
        settle() {
            this.mergeKey = null;
        }

        /** Change the view's own state. */
        look(change) {
            this.view = {...this.view, ...change};
            if (!editor.model.find(this.drawing, this.view.selected)) this.view.selected = null;
            for (const listener of this.listeners) listener(this.drawing, this.view);
        }

        undo() {
            this.step(this.past, this.future);
        }

        redo() {
            this.step(this.future, this.past);
        }

        step(from, to) {
            if (!from.length) return;
            to.push(this.drawing);
            this.drawing = from.pop();
            this.mergeKey = null;
            this.look({});
        }

        get selected() {
            return editor.model.find(this.drawing, this.view.selected);
        }
    }

    editor.Store = Store;
})(globalThis.instantasEditor ??= {});
