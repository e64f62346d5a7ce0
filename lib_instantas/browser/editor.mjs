// The editor in its place in the page: its parts, put together.

import {Actions, onKey} from "./actions.mjs";
import * as autosave from "./autosave.mjs";
import {GridBar, Toolbar} from "./bars.mjs";
import {button, element} from "./elements.mjs";
import {Links, Server} from "./host.mjs";
import {MaskCache} from "./mask.mjs";
import {Files, Presets, Reference} from "./menus.mjs";
import * as model from "./model.mjs";
import {Store} from "./model.mjs";
import {BrushRing, Pointer} from "./pointer.mjs";
import {Panel} from "./regions.mjs";
import {Stage} from "./stage.mjs";
import {text} from "./texts.mjs";
import {makeTools} from "./tools.mjs";

const VIEW = {selected: null, tool: "select", brush: 96, grid: true, step: 0};
const TOKENS_AFTER = 400;
const NOTICE = 5000;

class Editor {
    constructor(root) {
        this.root = root;
        this.config = JSON.parse(root.dataset.config);
        this.masks = new MaskCache(() => this.render());
        const saved = autosave.load();
        this.store = new Store(saved?.drawing ?? model.emptyDrawing(), {...VIEW, ...saved?.view});
        this.server = new Server(root);
        this.links = new Links(this.config, this.store);
        this.tokens = new Map();
        this.followSize();
        this.build();
        this.store.subscribe(() => this.render());
        this.render();
        this.links.watch({
            onsettings: () => {
                if (!this.isVisible) return;
                this.followSize();
                this.gridbar.refresh();
            },
            onpicture: () => this.reference.follow.checked && this.reference.showLast(false),
        });
    }

    get isVisible() {
        return this.root.offsetParent !== null;
    }

    build() {
        const frame = element("div", {class: "ias-frame", tabindex: "0", "aria-label": text("Canvas")});
        this.root.className = "ias";
        this.root.closest(".prose")?.classList.remove("prose");
        this.notice = element("div", {class: "ias-notice", role: "status", "aria-live": "polite"});
        this.root.replaceChildren();
        this.root.append(frame);
        this.stage = new Stage(frame, this.store, this.masks);
        this.stage.say = this.say.bind(this);
        const tools = makeTools(this.stage);
        this.actions = new Actions(this.store, this.stage, this.masks, tools);
        this.pointer = new Pointer(this.stage, tools, new BrushRing(this.stage));
        this.assemble(frame);
        this.root.addEventListener("keydown", event => onKey(event, this.actions));
        this.stage.showPicture(autosave.loadPicture());
        this.reference.follow.checked = this.config.follow_result && !this.stage.picture;
    }

    assemble(frame) {
        const say = this.stage.say;
        this.presets = new Presets(this.actions, this.server, say);
        this.files = new Files(this.actions, this.server, say);
        this.reference = new Reference(this.stage, this.links, say);
        const menus = [this.reference, this.presets, this.files].map(part => part.menu.root);
        this.toolbar = new Toolbar(this.actions, menus);
        this.panel = new Panel(this.actions);
        this.gridbar = new GridBar(this.actions, this.stage, this.links, this.server);
        this.root.append(this.toolbar.root,
            element("div", {class: "ias-work"},
                element("div", {class: "ias-left"}, frame, this.gridbar.root, this.sendButtons()), this.panel.root),
            this.notice);
    }

    sendButtons() {
        const targets = this.config.targets.filter(target => !target.live);
        return element("div", {class: "ias-send", hidden: !targets.length}, ...targets.map(target => {
            const label = text("Send to {tab}", {tab: this.links.nameOf(target)});
            return button({icon: "send", label, text: label, class: "ias-button ias-primary", onclick: () => this.send(target)});
        }));
    }

    send(target) {
        if (!this.links.send(target)) return this.say(text("There is no InstantAS panel in {tab}.", {tab: this.links.nameOf(target)}), true);
        this.links.choose(target.id);
        this.links.openTab(target);
    }

    render() {
        const {drawing, view} = this.store;
        this.stage.render();
        this.stage.frame.dataset.tool = view.tool;
        this.toolbar.render(view);
        this.panel.render(drawing, view);
        this.gridbar.render(drawing, view);
        autosave.save(drawing, view);
        for (const target of this.config.targets) if (target.live) this.links.send(target);
        this.countTokens(drawing);
    }

    /** As long as nothing was done to an empty canvas, it is as large as what its target would make. */
    followSize() {
        const {store, links: {target}} = this;
        if (target.live || store.drawing.regions.length || store.past.length) return;
        const canvas = this.links.size(target);
        const {width, height} = store.drawing.canvas;
        if (canvas.width !== width || canvas.height !== height) store.begin({...store.drawing, canvas});
    }

    /** Ask for the token counts of texts that are new, once nobody types for a moment. */
    countTokens(drawing) {
        this.panel.showTokens(this.tokens);
        clearTimeout(this.tokenTimer);
        const texts = new Set(drawing.regions.flatMap(r => [r.prompt, r.negative_prompt]));
        const unknown = [...texts].filter(text => text && !this.tokens.has(text));
        if (unknown.length && this.isVisible) this.tokenTimer = setTimeout(() => this.askTokens(unknown), TOKENS_AFTER);
    }

    async askTokens(texts) {
        try {
            const counts = await this.server.ask("tokens", {texts});
            if (counts) texts.forEach((text, i) => this.tokens.set(text, counts[i]));
            this.panel.showTokens(this.tokens);
        } catch (error) {
            console.warn("InstantAS: tokens could not be counted:", error.message);
        }
    }

    /** Show what an accordion holds, given by its elements' prefix; what is on the canvas now is brought back by undo. */
    async take(prefix) {
        const target = this.config.targets.find(one => one.prefix === prefix);
        const regions = this.links.regionsOf(target);
        this.links.choose(target.id);
        const canvas = this.links.size(target);
        if (regions && regions !== this.links.regionsText()) await this.takeText(regions, canvas);
        else if (regions || !this.store.drawing.regions.length) this.actions.setCanvas(canvas);
        this.store.settle();
    }

    async takeText(regions, canvas) {
        try {
            const document = {canvas, setup: JSON.parse(regions)};
            this.actions.replace(model.fromDocument(await this.server.ask("check", {document})));
        } catch (error) {
            this.say(error.message, true);
        }
    }

    say(notice, isError = false) {
        clearTimeout(this.noticeTimer);
        this.notice.textContent = notice;
        this.notice.classList.toggle("ias-error", isError);
        this.noticeTimer = setTimeout(() => this.notice.replaceChildren(), NOTICE);
    }
}

/** The page's one editor, once it is there. */
let editor = null;

/** The editor in its place, put there the first time. */
export function editorIn(root) {
    return editor ??= new Editor(root);
}
