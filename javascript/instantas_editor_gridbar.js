"use strict";

// The bar below the canvas: canvas size, tile grid, step, and the settings that move the grid.
(function (editor) {
    const TICK = 350;
    const SETTLE = 120;

    class GridBar {
        constructor(actions, stage, links, server) {
            Object.assign(this, {actions, stage, links, server, store: actions.store, asked: "", timer: null, playing: null});
            const {element} = editor.dom;
            this.size = this.makeSize();
            this.show = element("input", {type: "checkbox", onchange: event => this.store.look({grid: event.target.checked})});
            this.step = this.makeStep();
            this.gamma = editor.dom.slider({
                label: "Bridging γ", min: 0, max: 1, step: 0.005,
                onchange: gamma => { this.links.write("gamma", gamma); this.refresh(); },
            });
            this.gamma.root.classList.add("ias-gamma");
            this.schedule = this.makeSchedule();
            this.note = element("span", {class: "ias-note"});
            const grid = element("label", {class: "ias-check"}, this.show, element("span", {}, "Tile grid"));
            this.root = element("div", {class: "ias-gridbar"},
                element("div", {class: "ias-bar"}, this.size.root, grid, this.note),
                element("div", {class: "ias-bar"}, this.step.root, this.gamma.root, this.schedule));
        }

        makeSize() {
            const {element, button} = editor.dom;
            const field = (label, side) => element("input", {type: "number", min: "64", max: "32768", step: "8", "aria-label": label,
                class: `ias-canvas-${side}`, onchange: event => this.setSide(side, event.target)});
            const [width, height] = [field("Canvas width", "width"), field("Canvas height", "height")];
            const swap = button({icon: "swap", label: "Swap width and height", onclick: () => {
                const {canvas} = this.store.drawing;
                this.actions.setCanvas({width: canvas.height, height: canvas.width});
                this.store.settle();
            }});
            const root = element("div", {class: "ias-size"}, element("span", {}, "Canvas"), width, "×", height, swap);
            return {root, width, height};
        }

        setSide(side, field) {
            const value = Math.round(Number(field.value));
            const [low, high] = editor.model.LIMITS.side;
            if (value >= low && value <= high) this.actions.setCanvas({[side]: value});
            else this.stage.say(`The canvas's ${side} must be between ${low} and ${high} pixels.`, true);
            this.store.settle();
            field.value = this.store.drawing.canvas[side];
        }

        makeStep() {
            const {element, button} = editor.dom;
            const play = button({icon: "play", label: "Play", title: "Let the steps run", onclick: () => this.play(!this.playing)});
            const range = element("input", {type: "range", min: "1", max: "20", step: "1", value: "1", "aria-label": "Step",
                oninput: event => this.store.look({step: Number(event.target.value) - 1})});
            const text = element("output", {class: "ias-step-text"});
            return {root: element("div", {class: "ias-step"}, play, range, text), play, range, text};
        }

        makeSchedule() {
            const {element} = editor.dom;
            const options = this.links.choices("schedule").map(value => element("option", {value}, value));
            return element("select", {class: "ias-select", title: "Schedule", "aria-label": "Schedule", hidden: !options.length,
                onchange: event => { this.links.write("schedule", event.target.value); this.refresh(); }}, ...options);
        }

        play(on) {
            clearInterval(this.playing);
            this.playing = on ? setInterval(() => this.store.look({step: (this.store.view.step + 1) % this.steps}), TICK) : null;
            this.step.play.replaceChildren(editor.dom.icon(on ? "pause" : "play"));
            if (on) this.store.look({grid: true});
        }

        get steps() {
            return Number(this.step.range.max);
        }

        render(drawing, view) {
            const {fill} = editor.dom;
            fill(this.size.width, drawing.canvas.width);
            fill(this.size.height, drawing.canvas.height);
            this.show.checked = view.grid;
            this.step.root.hidden = !view.grid;
            fill(this.step.range, Math.min(view.step + 1, this.steps));
            this.step.text.textContent = `step ${Math.min(view.step + 1, this.steps)} of ${this.steps}`;
            this.renderNote(view);
            this.refresh();
        }

        renderNote(view) {
            const plan = this.stage.plan;
            if (!plan) return;
            const {tiles} = editor.grid.at(plan, view.step);
            const whose = this.links.targets.length > 1 ? `, as set in ${this.links.target.label}` : "";
            const count = tiles === 1 ? "fits one tile" : `${tiles} tiles per step`;
            this.note.textContent = [count + whose, plan.left_out].filter(Boolean).join("; ");
        }

        /** Ask the planner anew if anything that it depends on has changed, once it stands still for a moment. */
        refresh() {
            const settings = this.links.settings();
            this.gamma.set(Number(settings.gamma ?? 0.25));
            this.gamma.root.classList.toggle("ias-idle", (settings.schedule ?? "cyclic") !== "cyclic");
            if (settings.schedule) editor.dom.fill(this.schedule, settings.schedule);
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

    editor.GridBar = GridBar;
})(globalThis.instantasEditor ??= {});
