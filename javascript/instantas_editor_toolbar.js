"use strict";

// The bar above the canvas: tools, brush, undo, zoom, and the menus.
(function (editor) {
    const TOOLS = [
        ["select", "Select and move (V)"], ["rectangle", "Rectangle (R)"], ["polygon", "Polygon (P)"],
        ["brush", "Brush (B)"], ["eraser", "Eraser (E)"],
    ];

    class Toolbar {
        constructor(actions, menus) {
            Object.assign(this, {actions, store: actions.store});
            const {element} = editor.dom;
            this.tools = TOOLS.map(([name, title]) => this.toolButton(name, title));
            this.brush = editor.dom.slider({
                label: "Brush", min: 8, max: 512, largest: 1024, step: 1, unit: "px", onchange: brush => this.store.look({brush}),
            });
            const group = (...buttons) => element("div", {class: "ias-group"}, ...buttons);
            this.root = element("div", {class: "ias-toolbar", role: "toolbar", "aria-label": "Region editor"},
                group(...this.tools, this.maskUpload()), this.brush.root, group(...this.historyButtons()),
                group(...this.zoomButtons()), element("div", {class: "ias-menus"}, ...menus));
        }

        toolButton(name, title) {
            const label = title.split(" (")[0];
            const node = editor.dom.button({icon: name, label, title, onclick: () => this.actions.setTool(name)});
            node.dataset.tool = name;
            return node;
        }

        maskUpload() {
            const file = editor.dom.element("input", {type: "file", accept: "image/*", hidden: true, class: "ias-mask-file"});
            file.addEventListener("change", () => {
                if (file.files[0]) this.actions.uploadMask(file.files[0]);
                file.value = "";
            });
            const node = editor.dom.button({icon: "upload", label: "Upload a mask", title: "Upload a mask (white is inside)", onclick: () => file.click()});
            return editor.dom.element("span", {}, node, file);
        }

        historyButtons() {
            const {button} = editor.dom;
            this.undo = button({icon: "undo", label: "Undo", title: "Undo (Ctrl+Z)", onclick: () => this.store.undo()});
            this.redo = button({icon: "redo", label: "Redo", title: "Redo (Ctrl+Y)", onclick: () => this.store.redo()});
            return [this.undo, this.redo];
        }

        zoomButtons() {
            const {button} = editor.dom;
            return [
                button({icon: "minus", label: "Zoom out", onclick: () => this.actions.zoom(1 / 1.5)}),
                button({icon: "fit", label: "Whole canvas", onclick: () => this.actions.zoom(0)}),
                button({icon: "plus", label: "Zoom in", title: "Zoom in (Ctrl+wheel, two fingers)", onclick: () => this.actions.zoom(1.5)}),
            ];
        }

        render(view) {
            for (const node of this.tools) node.setAttribute("aria-pressed", `${node.dataset.tool === view.tool}`);
            this.brush.root.hidden = !["brush", "eraser"].includes(view.tool);
            this.brush.set(view.brush);
            this.undo.disabled = !this.store.past.length;
            this.redo.disabled = !this.store.future.length;
        }
    }

    /** A button with a panel that opens below it; Escape or a click elsewhere closes it. */
    function menu(icon, label, content, onopen = () => {}) {
        const {element, button} = editor.dom;
        const panel = element("div", {class: "ias-menu-panel", hidden: true, role: "group", "aria-label": label}, ...content);
        const opener = button({icon, label, text: label, "aria-expanded": "false", onclick: () => toggle(panel.hidden)});
        const root = element("div", {class: "ias-menu"}, opener, panel);
        function toggle(open) {
            panel.hidden = !open;
            opener.setAttribute("aria-expanded", `${open}`);
            if (open) onopen();
        }
        document.addEventListener("pointerdown", event => !root.contains(event.target) && toggle(false));
        root.addEventListener("keydown", event => {
            if (event.key !== "Escape" || panel.hidden) return;
            event.stopPropagation();
            toggle(false);
            opener.focus();
        });
        return {root, close: () => toggle(false)};
    }

    Object.assign(editor, {Toolbar, menu});
})(globalThis.instantasEditor ??= {});
