"use strict";

// Puts the editor into the page as soon as its place is there, and its parts together.
(function (editor) {
    const VIEW = {selected: null, tool: "select", brush: 96, grid: true, step: 0};
    const TOKENS_AFTER = 400;
    const NOTICE = 5000;

    class Editor {
        constructor(root) {
            this.root = root;
            this.config = JSON.parse(root.dataset.config);
            this.masks = new editor.MaskCache(() => this.render());
            const saved = editor.autosave.load();
            this.store = new editor.Store(saved?.drawing ?? editor.model.emptyDrawing(), {...VIEW, ...saved?.view});
            this.server = new editor.Server();
            this.links = new editor.Links(this.config, this.store);
            this.tokens = new Map();
            this.build();
            this.store.subscribe(() => this.render());
            this.render();
            this.links.watch({
                onregions: (target, text) => this.showActive(target, text),
                onsettings: () => this.isVisible && this.gridbar.refresh(),
                onpicture: () => this.reference.follow.checked && this.reference.showLast(false),
            });
        }

        get isVisible() {
            return this.root.offsetParent !== null;
        }

        build() {
            const {element} = editor.dom;
            const frame = element("div", {class: "ias-frame", tabindex: "0", "aria-label": "Canvas"});
            this.root.className = "ias";
            this.root.closest(".prose")?.classList.remove("prose");
            this.notice = element("div", {class: "ias-notice", role: "status", "aria-live": "polite"});
            this.root.replaceChildren();
            this.root.append(frame);
            this.stage = new editor.Stage(frame, this.store, this.masks);
            this.stage.say = this.say.bind(this);
            const tools = editor.tools.makeTools(this.stage);
            this.actions = new editor.Actions(this.store, this.stage, this.masks, tools);
            this.pointer = new editor.Pointer(this.stage, tools, new editor.BrushRing(this.stage));
            this.assemble(element, frame);
            this.root.addEventListener("keydown", event => editor.onKey(event, this.actions));
            this.stage.showPicture(editor.autosave.loadPicture());
            this.reference.follow.checked = this.config.follow_result && !this.stage.picture;
        }

        assemble(element, frame) {
            const say = this.stage.say;
            this.presets = new editor.Presets(this.actions, this.server, say);
            this.files = new editor.Files(this.actions, this.server, say);
            this.reference = new editor.Reference(this.stage, this.links, say);
            const menus = [this.reference, this.presets, this.files].map(part => part.menu.root);
            this.toolbar = new editor.Toolbar(this.actions, menus);
            this.panel = new editor.Panel(this.actions);
            this.gridbar = new editor.GridBar(this.actions, this.stage, this.links, this.server);
            this.root.append(this.toolbar.root,
                element("div", {class: "ias-work"},
                    element("div", {class: "ias-left"}, frame, this.gridbar.root, this.sendButtons()), this.panel.root),
                this.notice);
        }

        sendButtons() {
            const targets = this.config.targets.filter(target => !target.live);
            return editor.dom.element("div", {class: "ias-send", hidden: !targets.length}, ...targets.map(target =>
                editor.dom.button({icon: "send", label: `Send to ${target.label}`, text: `Send to ${target.label}`,
                    class: "ias-button ias-primary", onclick: () => this.send(target)})));
        }

        send(target) {
            if (!this.links.send(target)) return this.say(`There is no InstantAS panel in ${target.label}.`, true);
            this.links.choose(target.id);
            this.links.openTab(target.label);
        }

        render() {
            const {drawing, view} = this.store;
            this.stage.render();
            this.stage.frame.dataset.tool = view.tool;
            this.toolbar.render(view);
            this.panel.render(drawing, view);
            this.gridbar.render(drawing, view);
            editor.autosave.save(drawing, view);
            for (const target of this.config.targets) if (target.live) this.links.send(target);
            this.countTokens(drawing);
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

        /** Tell an accordion's button how many regions are active in it. */
        showActive(target, text) {
            const button = document.getElementById(`${target.prefix}_edit_regions`);
            if (!button) return;
            button.textContent = `Edit regions (${activeIn(text)} active)`;
            button.onclick = () => this.open(target);
        }

        /** Show the tab with what an accordion holds; what is on the canvas now can be brought back by undo. */
        async open(target) {
            const text = this.links.seen[target.id];
            this.links.choose(target.id);
            this.links.openTab(this.config.tab);
            const canvas = this.links.size(target);
            if (text && text !== this.links.regionsText()) await this.takeText(text, canvas);
            else if (text || !this.store.drawing.regions.length) this.actions.setCanvas(canvas);
            this.store.settle();
        }

        async takeText(text, canvas) {
            try {
                const document = {canvas, setup: JSON.parse(text)};
                this.actions.replace(editor.model.fromDocument(await this.server.ask("check", {document})));
            } catch (error) {
                this.say(error.message, true);
            }
        }

        say(text, isError = false) {
            clearTimeout(this.noticeTimer);
            this.notice.textContent = text;
            this.notice.classList.toggle("ias-error", isError);
            this.noticeTimer = setTimeout(() => this.notice.replaceChildren(), NOTICE);
        }
    }

    /** How many regions a setup's text switches on; 0 for what is no setup. */
    function activeIn(text) {
        try {
            const setup = JSON.parse(text || "[]");
            const regions = Array.isArray(setup) ? setup : setup.regions;
            return regions.filter(r => r.enabled !== false && r.weight !== 0).length;
        } catch {
            return 0;
        }
    }

    function mount() {
        const root = document.getElementById("instantas_editor_root");
        if (!root || root.dataset.mounted) return;
        root.dataset.mounted = "yes";
        editor.app = new Editor(root);
    }

    function watchPage() {
        mount();
        new MutationObserver(mount).observe(document.body, {childList: true, subtree: true});
    }

    if (document.body) watchPage();
    else document.addEventListener("DOMContentLoaded", watchPage);
})(globalThis.instantasEditor ??= {});
