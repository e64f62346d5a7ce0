// The bar above the canvas (tools, brush, undo, zoom, menus), and the one below it (canvas size, tile grid, step, and the
// settings that move the grid).

import {button, element, fill, icon, slider} from "./elements.mjs";
import * as model from "./model.mjs";
import * as nodes from "./nodes.mjs";
import {text} from "./texts.mjs";

const TOOLS = [
    ["select", text("Select and move"), "V"], ["rectangle", text("Rectangle"), "R"], ["polygon", text("Polygon"), "P"],
    ["brush", text("Brush"), "B"], ["eraser", text("Eraser"), "E"],
];

export class Toolbar {
    constructor(actions, menus) {
        Object.assign(this, {actions, store: actions.store});
        this.tools = TOOLS.map(([name, label, key]) => this.toolButton(name, label, key));
        this.brush = slider({
            label: text("Brush"), min: 8, max: 512, largest: 1024, step: 1, unit: "px", onchange: brush => this.store.look({brush}),
        });
        const group = (...buttons) => element("div", {class: "ias-group"}, ...buttons);
        this.root = element("div", {class: "ias-toolbar", role: "toolbar", "aria-label": text("Region editor")},
            group(...this.tools, this.maskUpload()), this.brush.root, group(...this.historyButtons()),
            group(...this.zoomButtons()), element("div", {class: "ias-menus"}, ...menus));
    }

    toolButton(name, label, key) {
        const node = button({icon: name, label, title: `${label} (${key})`, onclick: () => this.actions.setTool(name)});
        node.dataset.tool = name;
        return node;
    }

    maskUpload() {
        const file = element("input", {type: "file", accept: "image/*", hidden: true, class: "ias-mask-file"});
        file.addEventListener("change", () => {
            if (file.files[0]) this.actions.uploadMask(file.files[0]);
            file.value = "";
        });
        const node = button({icon: "upload", label: text("Upload a mask"), title: text("Upload a mask (white is inside)"),
            onclick: () => file.click()});
        return element("span", {}, node, file);
    }

    historyButtons() {
        this.undo = button({icon: "undo", label: text("Undo"), title: text("Undo (Ctrl+Z)"), onclick: () => this.store.undo()});
        this.redo = button({icon: "redo", label: text("Redo"), title: text("Redo (Ctrl+Y)"), onclick: () => this.store.redo()});
        return [this.undo, this.redo];
    }

    zoomButtons() {
        return [
            button({icon: "minus", label: text("Zoom out"), onclick: () => this.actions.zoom(1 / 1.5)}),
            button({icon: "fit", label: text("Whole canvas"), onclick: () => this.actions.zoom(0)}),
            button({icon: "plus", label: text("Zoom in"), title: text("Zoom in (Ctrl+wheel, two fingers)"),
                onclick: () => this.actions.zoom(1.5)}),
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

const OUT_OF_BOUNDS = {
    width: (low, high) => text("The canvas's width must be between {low} and {high} pixels.", {low, high}),
    height: (low, high) => text("The canvas's height must be between {low} and {high} pixels.", {low, high}),
};

const TICK = 350;
const SETTLE = 120;

export class GridBar {
    constructor(actions, stage, links, server) {
        Object.assign(this, {actions, stage, links, server, store: actions.store, asked: "", timer: null, playing: null});
        this.size = this.makeSize();
        this.show = element("input", {type: "checkbox", onchange: event => this.store.look({grid: event.target.checked})});
        this.step = this.makeStep();
        this.gamma = slider({
            label: text("Bridging γ"), min: 0, max: 1, step: 0.005,
            onchange: gamma => { this.links.write("gamma", gamma); this.refresh(); },
        });
        this.gamma.root.classList.add("ias-gamma");
        this.schedule = this.makeSchedule();
        this.note = element("span", {class: "ias-note"});
        const grid = element("label", {class: "ias-check"}, this.show, element("span", {}, text("Tile grid")));
        this.root = element("div", {class: "ias-gridbar"},
            element("div", {class: "ias-bar"}, this.size.root, grid, this.note),
            element("div", {class: "ias-bar"}, this.step.root, this.gamma.root, this.schedule));
    }

    makeSize() {
        const field = (label, side) => element("input", {type: "number", min: "64", max: "32768", step: "8", "aria-label": label,
            class: `ias-canvas-${side}`, onchange: event => this.setSide(side, event.target)});
        const [width, height] = [field(text("Canvas width"), "width"), field(text("Canvas height"), "height")];
        const swap = button({icon: "swap", label: text("Swap width and height"), onclick: () => {
            const {canvas} = this.store.drawing;
            this.actions.setCanvas({width: canvas.height, height: canvas.width});
            this.store.settle();
        }});
        const root = element("div", {class: "ias-size"}, element("span", {}, text("Canvas")), width, "×", height, swap);
        return {root, width, height};
    }

    setSide(side, field) {
        const value = Math.round(Number(field.value));
        const [low, high] = model.LIMITS.side;
        if (value >= low && value <= high) this.actions.setCanvas({[side]: value});
        else this.stage.say(OUT_OF_BOUNDS[side](low, high), true);
        this.store.settle();
        field.value = this.store.drawing.canvas[side];
    }

    makeStep() {
        const play = button({icon: "play", label: text("Play"), title: text("Let the steps run"), onclick: () => this.play(!this.playing)});
        const range = element("input", {type: "range", min: "1", max: "20", step: "1", value: "1", "aria-label": text("Step"),
            oninput: event => this.store.look({step: Number(event.target.value) - 1})});
        const shown = element("output", {class: "ias-step-text"});
        return {root: element("div", {class: "ias-step"}, play, range, shown), play, range, shown};
    }

    makeSchedule() {
        const options = this.links.choices("schedule").map(value => element("option", {value}, value));
        return element("select", {class: "ias-select", title: text("Schedule"), "aria-label": text("Schedule"),
            hidden: !options.length, onchange: event => { this.links.write("schedule", event.target.value); this.refresh(); }}, ...options);
    }

    play(on) {
        clearInterval(this.playing);
        this.playing = on ? setInterval(() => this.store.look({step: (this.store.view.step + 1) % this.steps}), TICK) : null;
        this.step.play.replaceChildren(icon(on ? "pause" : "play"));
        if (on) this.store.look({grid: true});
    }

    get steps() {
        return Number(this.step.range.max);
    }

    render(drawing, view) {
        fill(this.size.width, drawing.canvas.width);
        fill(this.size.height, drawing.canvas.height);
        this.show.checked = view.grid;
        this.step.root.hidden = !view.grid;
        fill(this.step.range, Math.min(view.step + 1, this.steps));
        this.step.shown.textContent = text("step {step} of {steps}", {step: Math.min(view.step + 1, this.steps), steps: this.steps});
        this.renderNote(view);
        this.refresh();
    }

    renderNote(view) {
        const plan = this.stage.plan;
        if (!plan) return;
        const {tiles} = nodes.gridAt(plan, view.step);
        const grid = tiles === 1 ? text("fits one tile") : text("{tiles} tiles per step", {tiles});
        const target = this.links.nameOf(this.links.target);
        const said = this.links.targets.length > 1 ? text("{grid}, as set in {target}", {grid, target}) : grid;
        this.note.textContent = [said, plan.left_out].filter(Boolean).join("; ");
    }

    /** Ask the planner anew if anything that it depends on has changed, once it stands still for a moment. */
    refresh() {
        const settings = this.links.settings();
        this.gamma.set(Number(settings.gamma ?? 0.25));
        this.gamma.root.classList.toggle("ias-idle", (settings.schedule ?? "cyclic") !== "cyclic");
        if (settings.schedule) fill(this.schedule, settings.schedule);
        const params = {canvas: this.store.drawing.canvas, settings, steps: this.links.steps(), seed: this.links.seed()};
        if (JSON.stringify(params) === this.asked) return;
        this.asked = JSON.stringify(params);
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.ask(params), SETTLE);
    }

    async ask(params) {
        try {
            const plan = await this.server.ask("plan", params);
            this.step.range.max = `${plan.steps.length}`;
            this.stage.showPlan(plan);
            this.root.dataset.plan = JSON.stringify(params);
            this.render(this.store.drawing, this.store.view);
        } catch (error) {
            this.note.textContent = error.message;
        }
    }
}
