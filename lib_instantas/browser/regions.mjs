// The list of regions, the uppermost first. The selected one is open and shows its prompts and numbers.

import {button, element, fill, icon, slider} from "./elements.mjs";
import * as geometry from "./geometry.mjs";
import * as model from "./model.mjs";
import * as nodes from "./nodes.mjs";
import {text} from "./texts.mjs";

const TYPES = {rectangle: text("Rectangle"), polygon: text("Polygon"), mask: text("Mask")};

class Card {
    constructor(id, actions) {
        Object.assign(this, {id, actions, store: actions.store});
        this.head = this.makeHead();
        this.body = element("div", {class: "ias-card-body"});
        this.prompt = this.makePrompt("prompt", text("Prompt"), text("Tokens of the prompt"),
            text("What is here (empty: the main prompt)"));
        this.negative = this.makePrompt("negative_prompt", text("Negative prompt"), text("Tokens of the negative prompt"),
            text("Empty: the main negative prompt"));
        this.weight = this.makeSlider(text("Weight"), "weight", {min: 0, max: 2, largest: 10, step: 0.05});
        this.feather = this.makeFeather();
        this.place = this.makePlace();
        this.body.append(this.prompt.root, this.negative.root, this.weight.root, this.feather.root, this.place.root);
        this.root = element("div", {
            class: "ias-card", role: "listitem", onclick: event => this.select(event), onfocusin: event => this.select(event),
        }, this.head.root, this.body);
    }

    get region() {
        return model.find(this.store.drawing, this.id);
    }

    select(event) {
        if (event.target.closest(".ias-card-tools") || !this.region) return;
        if (this.store.view.selected !== this.id) this.store.look({selected: this.id});
    }

    makeHead() {
        const change = (key, value) => this.actions.change(this.id, {[key]: value}, key);
        const color = element("input", {type: "color", class: "ias-color", title: text("Color"), "aria-label": text("Color"),
            oninput: event => change("color", event.target.value), onchange: () => this.store.settle()});
        const name = element("input", {type: "text", class: "ias-name", maxlength: `${model.LIMITS.name}`,
            "aria-label": text("Name"), oninput: event => change("name", event.target.value), onchange: () => this.store.settle()});
        const kind = element("span", {class: "ias-kind"});
        const onOff = button({icon: "eye", label: text("On or off"), onclick: () => this.actions.change(this.id, {enabled: !this.region.enabled})});
        const tools = element("span", {class: "ias-card-tools"}, onOff,
            this.up = button({icon: "up", label: text("Bring forward"), onclick: () => this.actions.raise(this.id, 1)}),
            this.down = button({icon: "down", label: text("Send backward"), onclick: () => this.actions.raise(this.id, -1)}),
            button({icon: "copy", label: text("Duplicate"), title: text("Duplicate (Ctrl+D)"),
                onclick: () => this.actions.duplicate(this.id)}),
            button({icon: "trash", label: text("Delete"), title: text("Delete (Del)"), onclick: () => this.actions.remove(this.id)}));
        return {root: element("div", {class: "ias-card-head"}, color, name, kind, tools), color, name, kind, onOff};
    }

    makePrompt(key, label, tokens, placeholder) {
        const counter = element("span", {class: "ias-tokens", "aria-label": tokens});
        const field = element("textarea", {
            rows: key === "prompt" ? "2" : "1", placeholder, maxlength: `${model.LIMITS.prompt}`,
            "aria-label": label, onchange: () => this.store.settle(),
            oninput: event => this.actions.change(this.id, {[key]: event.target.value}, key),
        });
        const root = element("label", {class: "ias-prompt"}, element("span", {}, label, counter), field);
        return {root, field, counter};
    }

    makeSlider(label, key, limits) {
        return slider({
            label, ...limits, onchange: value => this.actions.change(this.id, {[key]: value}, key), onsettle: () => this.store.settle(),
        });
    }

    /** Kept as a share of the shorter side, shown in image pixels. */
    makeFeather() {
        const onchange = pixels => this.actions.change(this.id, {feather: geometry.rounded(Math.min(1, pixels / this.shorterSide))}, "feather");
        return slider({
            label: text("Feather"), min: 0, max: 256, largest: 32768, step: 1, unit: "px", onchange, onsettle: () => this.store.settle(),
        });
    }

    get shorterSide() {
        return Math.min(this.store.drawing.canvas.width, this.store.drawing.canvas.height);
    }

    makePlace() {
        const sides = [["X", "x", "width"], ["Y", "y", "height"], [text("W"), "width", "width"], [text("H"), "height", "height"]];
        const fields = sides.map(([label, key, side]) => {
            const input = element("input", {type: "number", step: "8", "aria-label": text("{side} in pixels", {side: label}),
                onchange: event => this.setPlace(key, Number(event.target.value) / this.store.drawing.canvas[side])});
            return {input, key, side, root: element("label", {}, element("span", {}, label), input)};
        });
        const invert = button({icon: "invert", label: text("Invert the mask"), onclick: () => this.actions.invert(this.region)});
        return {root: element("div", {class: "ias-place"}, ...fields.map(f => f.root), invert), fields, invert};
    }

    setPlace(key, value) {
        const isSize = key === "width" || key === "height";
        if (Number.isFinite(value) && Math.abs(value) <= 10 && (!isSize || value > 0)) this.actions.place(this.region, {[key]: value});
        this.store.settle();
    }

    render(region, drawing, selected) {
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
        fill(this.head.color, region.color);
        fill(this.head.name, region.name);
        this.head.kind.textContent = TYPES[region.shape.type];
        this.head.onOff.replaceChildren(icon(region.enabled ? "eye" : "hidden"));
        this.head.onOff.setAttribute("aria-pressed", `${region.enabled}`);
        this.up.disabled = at === drawing.regions.length - 1;
        this.down.disabled = at === 0;
    }

    renderPlace(region, canvas) {
        const bounds = nodes.boundsOf(region.shape, this.actions.masks);
        this.place.invert.hidden = region.shape.type !== "mask";
        for (const {input, key, side, root} of this.place.fields) {
            root.hidden = !bounds;
            if (bounds) fill(input, Math.round(bounds[key] * canvas[side]));
        }
    }

    showTokens(counts) {
        const region = this.region;
        if (!region) return;
        for (const [{counter}, prompt] of [[this.prompt, region.prompt], [this.negative, region.negative_prompt]]) {
            const found = counts.get(prompt);
            counter.textContent = found && prompt ? `${found.count}/${found.limit}` : "";
        }
    }
}

export class Panel {
    constructor(actions, tokens) {
        Object.assign(this, {actions, tokens, store: actions.store, cards: new Map()});
        this.count = element("span", {class: "ias-badge"});
        this.overlap = this.makeOverlap();
        this.list = element("div", {class: "ias-cards", role: "list", "aria-label": text("Regions")});
        this.empty = element("p", {class: "ias-empty"},
            text("Draw a rectangle, a polygon or a mask on the canvas. What no region covers follows the main prompt."));
        this.root = element("div", {class: "ias-panel"},
            element("div", {class: "ias-panel-head"}, element("strong", {}, text("Regions")), this.count, this.overlap),
            this.empty, this.list);
    }

    makeOverlap() {
        return element("select", {
            class: "ias-select", title: text("Where regions overlap"), "aria-label": text("Where regions overlap"),
            onchange: event => this.actions.setOverlap(event.target.value),
        }, element("option", {value: "weight"}, text("Overlap: by weight")), element("option", {value: "upper"}, text("Overlap: upper wins")));
    }

    render(drawing, view) {
        const active = model.active(drawing).length;
        this.count.textContent = drawing.regions.length
            ? text("{active} of {regions} active", {active, regions: drawing.regions.length})
            : text("none");
        this.empty.hidden = drawing.regions.length > 0;
        fill(this.overlap, drawing.overlap);
        this.dropCards(drawing);
        const order = [...drawing.regions].reverse().map(region => this.card(region));
        order.forEach((card, i) => {
            if (this.list.children[i] !== card.root) this.list.insertBefore(card.root, this.list.children[i] ?? null);
        });
        for (const region of drawing.regions) this.cards.get(region.id).render(region, drawing, view.selected === region.id);
    }

    card(region) {
        if (!this.cards.has(region.id)) this.cards.set(region.id, new Card(region.id, this.actions, this.tokens));
        return this.cards.get(region.id);
    }

    dropCards(drawing) {
        for (const [id, card] of this.cards) {
            if (model.find(drawing, id)) continue;
            card.root.remove();
            this.cards.delete(id);
        }
    }

    /** Show the token counts that the server found: a Map of texts to {count, limit}. */
    showTokens(counts) {
        for (const card of this.cards.values()) card.showTokens(counts);
    }

    reveal(id) {
        this.cards.get(id)?.root.scrollIntoView({block: "nearest"});
    }
}
