"use strict";

// The way to the host's own fields: the settings of the accordions (or of the standalone page), its result pictures
// and its tabs. A target is {id, label, prefix, live, size, steps, seed, results}: element ids of one place that makes
// pictures. Fields of Settings have the id `<prefix>_<name>`.
(function (editor) {
    const POLL = 600;

    const byId = id => (id ? document.getElementById(id) : null);

    /** The value of a Gradio component: number, text, choice or switch; null where it is not in the page. */
    function read(root) {
        if (!root) return null;
        const checked = root.querySelector("input[type=radio]:checked");
        if (checked) return checked.value;
        const field = root.querySelector("input[type=number], textarea, input[type=checkbox], select, input");
        if (!field) return null;
        if (field.type === "checkbox") return field.checked;
        return field.type === "number" ? Number(field.value) : field.value;
    }

    /** Set a Gradio component's value the way a user would. Returns whether there was something to set. */
    function write(root, value) {
        const field = root?.querySelector("input[type=number], textarea, input[type=checkbox]");
        if (!field) return false;
        if (field.type === "checkbox") {
            if (field.checked !== value) field.click();
            return true;
        }
        if (field.value === String(value)) return true;
        field.value = value;
        field.dispatchEvent(new Event("input", {bubbles: true}));
        field.dispatchEvent(new Event("change", {bubbles: true}));
        return true;
    }

    class Links {
        constructor(config, store) {
            Object.assign(this, {config, store, targets: config.targets, own: {...config.defaults}, seen: {}});
            this.target = this.targets[0];
        }

        choose(id) {
            this.target = this.targets.find(target => target.id === id) ?? this.target;
        }

        field(name, target = this.target) {
            return byId(`${target.prefix}_${name}`);
        }

        choices(name) {
            return this.config.choices[name] ?? [];
        }

        /** The settings that the grid depends on, as they stand beside the target's button. */
        settings() {
            const found = {};
            for (const [name, fallback] of Object.entries(this.own)) {
                const value = read(this.field(name));
                found[name] = value === null || value === "" || Number.isNaN(value) ? fallback : value;
            }
            return found;
        }

        /** A setting is one value in both places: the accordion's, and this one's own where there is no accordion. */
        write(name, value) {
            this.own[name] = value;
            if (this.choices(name).length) return editor.dropdown.choose(this.field(name), value);
            return write(this.field(name), value);
        }

        steps() {
            return editor.geometry.clamp(read(byId(this.target.steps)) || 20, 1, 150);
        }

        seed() {
            return Math.max(0, Math.floor(read(byId(this.target.seed)) || 0));
        }

        regionsText() {
            const {drawing} = this.store;
            return drawing.regions.length ? JSON.stringify(editor.model.toSetup(drawing)) : "";
        }

        /** Put regions and canvas size where the target's generation takes them from. */
        send(target) {
            const {width, height} = this.store.drawing.canvas;
            if (!write(this.field("regions", target), this.regionsText())) return false;
            this.sendSize(target, width, height);
            const {gamma} = this.settings();
            if (target !== this.target) write(this.field("gamma", target), gamma);
            if (this.store.drawing.regions.length && !target.live) this.switchOn(target);
            return true;
        }

        /** The switch is a checkbox, or the WebUI's accordion with a checkbox in its title. */
        switchOn(target) {
            const root = this.field("enabled", target);
            const inTitle = root && byId(`${root.id}-visible-checkbox`);
            if (!inTitle) return write(root, true);
            root.querySelector(".label-wrap:not(.open)")?.click();
            setTimeout(() => inTitle.checked || inTitle.click());
            return true;
        }

        sendSize(target, width, height) {
            write(this.field("width", target), width);
            write(this.field("height", target), height);
        }

        /** The canvas size that the target would generate. */
        size(target) {
            const value = (side, at) => read(this.field(side, target)) || read(byId(target.size?.[at])) || 512;
            return {width: value("width", 0), height: value("height", 1)};
        }

        /** The newest picture of the current target, else of another. */
        lastPicture() {
            for (const {results} of [this.target, ...this.targets]) {
                const made = [...document.querySelectorAll(results)].find(picture => picture.src && picture.naturalWidth);
                if (made) return made.src;
            }
            return null;
        }

        /** Watch what the page changes without telling: pasted regions, moved sliders, new pictures. */
        watch({onregions, onsettings, onpicture}) {
            setInterval(() => {
                for (const target of this.targets) {
                    const text = read(this.field("regions", target)) ?? "";
                    if (text !== this.seen[target.id]) onregions(target, this.seen[target.id] = text);
                }
                if (document.hidden) return;
                onsettings();
                onpicture();
            }, POLL);
        }

        /** Bring one of the host's tabs to the front; Forge writes their names with a capital letter. */
        openTab(label) {
            const tabs = byId("tabs")?.querySelectorAll("button") ?? [];
            [...tabs].find(tab => tab.textContent.trim().toLowerCase() === label.toLowerCase())?.click();
        }
    }

    Object.assign(editor, {Links, fields: {read, write}});
})(globalThis.instantasEditor ??= {});
