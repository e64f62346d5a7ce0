// What is around the editor: the targets, which are places in the page that make pictures, and the Python side.
// A target is {id, label, prefix, live, size, steps, seed, results}: element ids of the place. Fields of Settings have the
// id `<prefix>_<name>`.

import {choose, read, switchOn, write} from "./fields.mjs";
import * as geometry from "./geometry.mjs";
import * as model from "./model.mjs";
import {text} from "./texts.mjs";

/** Milliseconds after which the page is looked at again. */
const POLL = 600;

/** Milliseconds until an answer of the server counts as lost. */
const PATIENCE = 20000;

/** After so long a press of the button that Gradio did not take up is made again. */
const AGAIN = 1500;

const byId = id => (id ? document.getElementById(id) : null);

/** A tab's possible names: Forge writes them with a capital letter, and the page's language may have others. */
function namesOf({label}) {
    const names = [label, label[0].toUpperCase() + label.slice(1)];
    return [...names, ...names.map(name => text(name))];
}

/**
 * The way to the host's own fields: the settings of the accordions (or of the standalone page), its result pictures and
 * its tabs.
 */
export class Links {
    constructor(config, store) {
        Object.assign(this, {config, store, targets: config.targets, own: {...config.defaults}});
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
        if (this.choices(name).length) return choose(this.field(name), value);
        return write(this.field(name), value);
    }

    steps() {
        return geometry.clamp(read(byId(this.target.steps)) || 20, 1, 150);
    }

    seed() {
        return Math.max(0, Math.floor(read(byId(this.target.seed)) || 0));
    }

    /** The regions that a target's generation would be given. */
    regionsOf(target) {
        return read(this.field("regions", target)) ?? "";
    }

    regionsText() {
        const {drawing} = this.store;
        return drawing.regions.length ? JSON.stringify(model.toSetup(drawing)) : "";
    }

    /** Put regions and canvas size where the target's generation takes them from. */
    send(target) {
        const {width, height} = this.store.drawing.canvas;
        if (!write(this.field("regions", target), this.regionsText())) return false;
        this.sendSize(target, width, height);
        const {gamma} = this.settings();
        if (target !== this.target) write(this.field("gamma", target), gamma);
        if (this.store.drawing.regions.length && !target.live) switchOn(this.field("enabled", target));
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

    /** Watch what the page changes without telling: moved sliders, new pictures. */
    watch({onsettings, onpicture}) {
        setInterval(() => {
            if (document.hidden) return;
            onsettings();
            onpicture();
        }, POLL);
    }

    /** Bring a target's tab to the front. */
    openTab(target) {
        const names = namesOf(target);
        const tabs = byId("tabs")?.querySelectorAll("button") ?? [];
        [...tabs].find(tab => names.includes(tab.textContent.trim()))?.click();
    }

    /** What the host calls a target's tab. */
    nameOf(target) {
        const [plain, capital, ...said] = namesOf(target);
        return said.find(name => name !== plain && name !== capital) ?? plain;
    }
}

/**
 * Questions to the Python side. They travel through a hidden Gradio event of the tab, so that logins, queues and reverse
 * proxies treat them like any other use of the page. One is under way at a time. The event's own scripts talk to this by
 * DOM events of the editor's place: see `lib_instantas/editor/tab.py`.
 */
export class Server {
    constructor(place) {
        place.addEventListener("instantas-request", event => { event.detail.text = this.request(); });
        place.addEventListener("instantas-answer", event => this.receive(event.detail));
        this.waiting = [];
        this.current = null;
        this.lastId = 0;
    }

    /** The result, or an Error with the server's message. */
    ask(method, params = {}) {
        return new Promise((resolve, reject) => {
            this.waiting.push({id: ++this.lastId, method, params, resolve, reject});
            this.next();
        });
    }

    next() {
        if (this.current || !this.waiting.length) return;
        const request = this.current = this.waiting.shift();
        request.timer = setTimeout(() => this.finish(r => r.reject(new Error(text("The server does not answer.")))), PATIENCE);
        this.press(request);
    }

    press(request) {
        if (request !== this.current || request.taken) return;
        document.getElementById("instantas_editor_ask").click();
        setTimeout(() => this.press(request), AGAIN);
    }

    /** The text of the question that is under way, for the Gradio event. */
    request() {
        if (!this.current) return "";
        this.current.taken = true;
        const {id, method, params} = this.current;
        return JSON.stringify({id, method, params});
    }

    /** Take the answer's text from the Gradio event. */
    receive(given) {
        const answer = JSON.parse(given || "{}");
        if (!this.current || answer.id !== this.current.id) return;
        if ("error" in answer) this.finish(r => r.reject(new Error(answer.error)));
        else this.finish(r => r.resolve(answer.result));
    }

    finish(settle) {
        const request = this.current;
        clearTimeout(request.timer);
        this.current = null;
        settle(request);
        this.next();
    }
}
