// The menus: presets on the server, JSON files, and the reference picture.

import * as autosave from "./autosave.mjs";
import {button, element, menu, slider} from "./elements.mjs";
import * as mask from "./mask.mjs";
import * as model from "./model.mjs";
import {text} from "./texts.mjs";

const PICTURE_SIDE = 1024;

export class Presets {
    constructor(actions, server, say) {
        Object.assign(this, {actions, server, say, names: []});
        this.name = element("input", {type: "text", maxlength: "100", placeholder: text("Name"), "aria-label": text("Preset name"),
            oninput: () => this.render(), onkeydown: event => event.key === "Enter" && this.save()});
        this.saveButton = button({label: text("Save the preset"), text: text("Save"), onclick: () => this.save()});
        this.list = element("div", {class: "ias-presets"});
        this.menu = menu("bookmark", text("Presets"), [
            element("div", {class: "ias-row"}, this.name, this.saveButton), this.list,
        ], () => this.refresh());
    }

    async attempt(work) {
        try {
            await work();
        } catch (error) {
            this.say(error.message, true);
        }
    }

    refresh() {
        return this.attempt(async () => this.show(await this.server.ask("presets")));
    }

    save() {
        const name = this.name.value;
        const document = model.toDocument(this.actions.store.drawing);
        return this.attempt(async () => {
            this.show(await this.server.ask("save", {name, document}));
            this.say(text("Saved as “{name}”.", {name: name.trim()}));
            this.name.value = "";
            this.render();
        });
    }

    load(name) {
        return this.attempt(async () => {
            this.actions.replace(model.fromDocument(await this.server.ask("load", {name})));
            this.say(text("Loaded “{name}”.", {name}));
            this.menu.close();
        });
    }

    delete(name) {
        return this.attempt(async () => this.show(await this.server.ask("delete", {name})));
    }

    show(names) {
        this.names = names;
        this.render();
    }

    render() {
        this.saveButton.lastChild.textContent = this.names.includes(this.name.value.trim()) ? text("Replace") : text("Save");
        this.saveButton.disabled = !this.name.value.trim();
        const rows = this.names.map(name => this.row(name));
        this.list.replaceChildren(...(rows.length ? rows : [element("p", {class: "ias-empty"}, text("No presets yet."))]));
    }

    row(name) {
        const load = button({label: text("Load {name}", {name}), text: name, class: "ias-preset-name", onclick: () => this.load(name)});
        const remove = button({icon: "trash", label: text("Delete {name}", {name}), onclick: () => {
            if (remove.classList.contains("ias-sure")) return this.delete(name);
            remove.classList.add("ias-sure");
            remove.replaceChildren(text("Delete?"));
        }});
        return element("div", {class: "ias-row"}, load, remove);
    }
}

export class Files {
    constructor(actions, server, say) {
        Object.assign(this, {actions, server, say});
        this.file = element("input", {type: "file", accept: ".json,application/json", hidden: true, class: "ias-json-file",
            onchange: () => this.import()});
        this.menu = menu("file", text("File"), [
            button({icon: "upload", label: text("Import JSON"), text: text("Import JSON…"), onclick: () => this.file.click()}),
            button({icon: "down", label: text("Export JSON"), text: text("Export JSON"), onclick: () => this.export()}),
            button({icon: "trash", label: text("Remove all regions"), text: text("Remove all regions"),
                onclick: () => (actions.clear(), this.menu.close())}),
            this.file,
        ]);
    }

    export() {
        const content = JSON.stringify(model.toDocument(this.actions.store.drawing), null, 1);
        const url = URL.createObjectURL(new Blob([content], {type: "application/json"}));
        element("a", {href: url, download: "instantas-regions.json"}).click();
        // A browser that is busy may begin to read only after a while.
        setTimeout(() => URL.revokeObjectURL(url), 60000);
        this.menu.close();
    }

    async import() {
        const [file] = this.file.files;
        if (!file) return;
        try {
            await this.take(JSON.parse(await file.text()));
            this.menu.close();
        } catch (error) {
            this.say(error instanceof SyntaxError ? text("{file} is not JSON.", {file: file.name}) : error.message, true);
        }
        this.file.value = "";
    }

    /** A drawing, or the bare region setup of an API call, checked by the server. */
    async take(given) {
        const isDrawing = given !== null && typeof given === "object" && "setup" in given;
        const document = isDrawing ? given : {canvas: this.actions.store.drawing.canvas, setup: given};
        this.actions.replace(model.fromDocument(await this.server.ask("check", {document})));
    }
}

export class Reference {
    constructor(stage, links, say) {
        Object.assign(this, {stage, links, say});
        this.file = element("input", {type: "file", accept: "image/*", hidden: true, class: "ias-picture-file", onchange: () => this.upload()});
        this.follow = element("input", {type: "checkbox", onchange: event => this.setFollow(event.target.checked)});
        this.opacity = slider({label: text("Strength"), min: 0, max: 100, step: 1, unit: "%", onchange: value => this.fade(value)});
        this.menu = menu("picture", text("Picture"), [
            button({icon: "upload", label: text("Open a picture"), text: text("Open a picture…"), onclick: () => this.file.click()}),
            button({icon: "picture", label: text("Last result"), text: text("Last result"), onclick: () => this.showLast(true)}),
            button({icon: "trash", label: text("No picture"), text: text("No picture"), onclick: () => this.remove()}),
            element("label", {class: "ias-check"}, this.follow, element("span", {}, text("Always the last result"))),
            this.opacity.root, this.file,
        ]);
        this.fade(90);
    }

    fade(percent) {
        this.stage.paper.style.setProperty("--ias-picture", `${percent / 100}`);
        this.opacity.set(percent);
    }

    async upload() {
        const [file] = this.file.files;
        if (!file) return;
        const url = URL.createObjectURL(file);
        try {
            const picture = shrunk(await mask.loadPicture(url));
            this.setFollow(false);
            this.show(picture);
            autosave.savePicture(picture);
        } catch (error) {
            this.say(error.message, true);
        }
        URL.revokeObjectURL(url);
        this.file.value = "";
    }

    setFollow(follow) {
        this.follow.checked = follow;
        if (follow) this.showLast(false);
    }

    /** The newest picture that the host has made, if it has changed. */
    showLast(asked) {
        const url = this.links.lastPicture();
        if (url && url !== this.stage.picture) this.show(url);
        else if (!url && asked) this.say(text("There is no result yet."), true);
    }

    show(url) {
        this.stage.showPicture(url);
    }

    remove() {
        this.setFollow(false);
        this.show(null);
        autosave.savePicture(null);
    }
}

/** A data URL of the picture, small enough to be kept in the page. */
function shrunk(picture) {
    const scale = Math.min(1, PICTURE_SIDE / Math.max(picture.width, picture.height));
    const small = mask.copyOf(picture, {width: Math.max(1, Math.round(picture.width * scale)), height: Math.max(1, Math.round(picture.height * scale))});
    return small.toDataURL("image/jpeg", 0.85);
}
