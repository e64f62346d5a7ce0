"use strict";

// One region in the list.
(function (editor) {
    const TYPES = {rectangle: "Rectangle", polygon: "Polygon", mask: "Mask"};

    class Card {
        constructor(id, actions) {
            Object.assign(this, {id, actions, store: actions.store});
            const {element} = editor.dom;
            this.head = this.makeHead();
            this.body = element("div", {class: "ias-card-body"});
            this.prompt = this.makePrompt("Prompt", "prompt", "What is here (empty: the main prompt)");
            this.negative = this.makePrompt("Negative prompt", "negative_prompt", "Empty: the main negative prompt");
            this.weight = this.makeSlider("Weight", "weight", {min: 0, max: 2, largest: 10, step: 0.05});
            this.feather = this.makeFeather();
            this.place = this.makePlace();
            this.body.append(this.prompt.root, this.negative.root, this.weight.root, this.feather.root, this.place.root);
            this.root = element("div", {
                class: "ias-card", role: "listitem", onclick: event => this.select(event), onfocusin: event => this.select(event),
            }, this.head.root, this.body);
        }

        get region() {
            return editor.model.find(this.store.drawing, this.id);
        }

        select(event) {
            if (event.target.closest(".ias-card-tools") || !this.region) return;
            if (this.store.view.selected !== this.id) this.store.look({selected: this.id});
        }

        makeHead() {
            const {element, button} = editor.dom;
            const change = (key, value) => this.actions.change(this.id, {[key]: value}, key);
            const color = element("input", {type: "color", class: "ias-color", title: "Color", "aria-label": "Color",
                oninput: event => change("color", event.target.value), onchange: () => this.store.settle()});
            const name = element("input", {type: "text", class: "ias-name", maxlength: `${editor.model.LIMITS.name}`,
                "aria-label": "Name", oninput: event => change("name", event.target.value), onchange: () => this.store.settle()});
            const kind = element("span", {class: "ias-kind"});
            const onOff = button({icon: "eye", label: "On or off", onclick: () => this.actions.change(this.id, {enabled: !this.region.enabled})});
            const tools = element("span", {class: "ias-card-tools"}, onOff,
                this.up = button({icon: "up", label: "Bring forward", onclick: () => this.actions.raise(this.id, 1)}),
                this.down = button({icon: "down", label: "Send backward", onclick: () => this.actions.raise(this.id, -1)}),
                button({icon: "copy", label: "Duplicate", title: "Duplicate (Ctrl+D)", onclick: () => this.actions.duplicate(this.id)}),
                button({icon: "trash", label: "Delete", title: "Delete (Del)", onclick: () => this.actions.remove(this.id)}));
            return {root: element("div", {class: "ias-card-head"}, color, name, kind, tools), color, name, kind, onOff};
        }

        makePrompt(label, key, placeholder) {
            const {element} = editor.dom;
            const counter = element("span", {class: "ias-tokens", "aria-label": `Tokens of the ${label.toLowerCase()}`});
            const field = element("textarea", {
                rows: key === "prompt" ? "2" : "1", placeholder, maxlength: `${editor.model.LIMITS.prompt}`,
                "aria-label": label, onchange: () => this.store.settle(),
                oninput: event => this.actions.change(this.id, {[key]: event.target.value}, key),
            });
            const root = element("label", {class: "ias-prompt"}, element("span", {}, label, counter), field);
            return {root, field, counter};
        }

        makeSlider(label, key, limits) {
            return editor.dom.slider({
                label, ...limits, onchange: value => this.actions.change(this.id, {[key]: value}, key), onsettle: () => this.store.settle(),
            });
        }

        /** Kept as a share of the shorter side, shown in image pixels. */
        makeFeather() {
            const onchange = pixels => this.actions.change(this.id, {feather: editor.geometry.rounded(Math.min(1, pixels / this.shorterSide))}, "feather");
            return editor.dom.slider({
                label: "Feather", min: 0, max: 256, largest: 32768, step: 1, unit: "px", onchange, onsettle: () => this.store.settle(),
            });
        }

        get shorterSide() {
            return Math.min(this.store.drawing.canvas.width, this.store.drawing.canvas.height);
        }

        makePlace() {
            const {element, button} = editor.dom;
            const sides = [["X", "x", "width"], ["Y", "y", "height"], ["W", "width", "width"], ["H", "height", "height"]];
            const fields = sides.map(([label, key, side]) => {
                const input = element("input", {type: "number", step: "8", "aria-label": `${label} in pixels`,
                    onchange: event => this.setPlace(key, Number(event.target.value) / this.store.drawing.canvas[side])});
                return {input, key, side, root: element("label", {}, element("span", {}, label), input)};
            });
            const invert = button({icon: "invert", label: "Invert the mask", onclick: () => this.actions.invert(this.region)});
            return {root: element("div", {class: "ias-place"}, ...fields.map(f => f.root), invert), fields, invert};
        }

        setPlace(key, value) {
            const isSize = key === "width" || key === "height";
            if (Number.isFinite(value) && Math.abs(value) <= 10 && (!isSize || value > 0)) this.actions.place(this.region, {[key]: value});
            this.store.settle();
        }

        render(region, drawing, selected) {
            const {fill} = editor.dom;
            this.root.classList.toggle("ias-selected", selected);
            this.root.classList.toggle("ias-off", !region.enabled);
            this.root.style.setProperty("--ias-color", region.color);
            this.renderHead(region, drawing);
            this.body.hidden = !selected;
            if (!selected) return;
            fill(this.prompt.field, region.prompt);
            fill(this.negative.field, region.negative_prompt);
            this.weight.set(region.weight);
            this.feather.range.max = `${Math.round(this.shorterSide / 2)}`;
            this.feather.set(Math.round(region.feather * this.shorterSide));
            this.renderPlace(region, drawing.canvas);
        }

        renderHead(region, drawing) {
            const at = drawing.regions.indexOf(region);
            editor.dom.fill(this.head.color, region.color);
            editor.dom.fill(this.head.name, region.name);
            this.head.kind.textContent = TYPES[region.shape.type];
            this.head.onOff.replaceChildren(editor.dom.icon(region.enabled ? "eye" : "hidden"));
            this.head.onOff.setAttribute("aria-pressed", `${region.enabled}`);
            this.up.disabled = at === drawing.regions.length - 1;
            this.down.disabled = at === 0;
        }

        renderPlace(region, canvas) {
            const bounds = editor.shapes.boundsOf(region.shape, this.actions.masks);
            this.place.invert.hidden = region.shape.type !== "mask";
            for (const {input, key, side, root} of this.place.fields) {
                root.hidden = !bounds;
                if (bounds) editor.dom.fill(input, Math.round(bounds[key] * canvas[side]));
            }
        }

        showTokens(counts) {
            const region = this.region;
            if (!region) return;
            for (const [{counter}, text] of [[this.prompt, region.prompt], [this.negative, region.negative_prompt]]) {
                const found = counts.get(text);
                counter.textContent = found && text ? `${found.count}/${found.limit}` : "";
            }
        }
    }

    editor.Card = Card;
})(globalThis.instantasEditor ??= {});
