"use strict";

// Looks at a finished picture in the tab: around in it, where it is a 360° panorama, or laid side by side three by three,
// where it is a texture. The library for panoramas is loaded when the first of them is shown.
(function (editor) {
    const LIBRARY = "instantas/viewer/pannellum";
    const GALLERIES = ["txt2img", "img2img"];
    const SYMBOL = "🌐";
    const NAMES = {sphere: "360°", tiled: "Tiled 3×3"};

    const byId = id => document.getElementById(id);

    function element(name, properties, ...children) {
        const made = Object.assign(document.createElement(name), properties);
        made.append(...children);
        return made;
    }

    let loading = null;

    /** The library, loaded once; a promise that fails if the host does not serve it. */
    function library() {
        loading ??= new Promise((resolve, reject) => {
            const script = element("script", {src: `${LIBRARY}.js`, onload: () => resolve(globalThis.pannellum)});
            script.onerror = () => {
                loading = null;
                reject(new Error("the viewer's library could not be loaded"));
            };
            document.head.append(element("link", {rel: "stylesheet", href: `${LIBRARY}.css`}), script);
        });
        return loading;
    }

    /** The picture of a gallery that is shown large, else its first one. */
    function pictureOf(tab) {
        const gallery = byId(`${tab}_gallery`);
        return gallery?.querySelector("img[data-testid=detailed-image], .preview > button > img, img")?.src ?? null;
    }

    class Viewer {
        constructor(root) {
            this.root = root;
            this.stage = element("div", {className: "ias-view-stage", hidden: true});
            this.notice = element("span", {className: "ias-view-notice", role: "status"});
            this.kinds = Object.entries(NAMES).map(([kind, textContent]) =>
                element("button", {type: "button", textContent, value: kind, onclick: () => this.show(kind)}));
            const results = GALLERIES.map(tab => element("button",
                {type: "button", textContent: `Last of ${tab}`, onclick: () => this.open(pictureOf(tab))}));
            const file = element("input", {type: "file", accept: "image/*"});
            file.onchange = () => file.files.length && this.open(URL.createObjectURL(file.files[0]));
            const choose = element("label", {className: "ias-view-file"}, "Open a picture ", file);
            root.replaceChildren(
                element("p", {}, "Look around in a 360° panorama, or see a texture laid side by side:"),
                element("div", {className: "ias-view-bar"}, ...results, choose, ...this.kinds, this.notice), this.stage);
            this.mark(null);
        }

        /** Show the picture at an address: twice as wide as high, it is taken for a panorama. */
        async open(source) {
            if (!source) return this.say("There is no picture yet.");
            this.picture = element("img", {src: source});
            try {
                await this.picture.decode();
            } catch {
                return this.say("This is not a picture that the browser can show.");
            }
            const {naturalWidth: width, naturalHeight: height} = this.picture;
            await this.show(width === 2 * height ? "sphere" : "tiled");
            this.stage.scrollIntoView({block: "nearest"});
        }

        async show(kind) {
            this.say("");
            this.close();
            this.stage.hidden = false;
            try {
                await (kind === "sphere" ? this.showSphere() : this.showTiled());
                this.mark(kind);
            } catch (error) {
                this.say(error.message);
            }
        }

        async showSphere() {
            const pannellum = await library();
            const place = element("div", {className: "ias-view-sphere"});
            this.stage.replaceChildren(place);
            this.sphere = pannellum.viewer(place, {
                type: "equirectangular", panorama: this.picture.src, autoLoad: true, ignoreGPanoXMP: true,
                compass: false, hfov: 90,
            });
            await new Promise((resolve, reject) => {
                this.sphere.on("load", resolve);
                this.sphere.on("error", text => reject(new Error(String(text))));
            });
        }

        showTiled() {
            const {naturalWidth, naturalHeight, src} = this.picture;
            const place = element("div", {className: "ias-view-tiled"});
            place.style.aspectRatio = `${naturalWidth} / ${naturalHeight}`;
            place.style.backgroundImage = `url("${src.replaceAll('"', "%22")}")`;
            this.stage.replaceChildren(place);
        }

        close() {
            this.sphere?.destroy();
            this.sphere = null;
            this.stage.replaceChildren();
        }

        /** Which way of looking is chosen; without a picture none can be. */
        mark(kind) {
            this.stage.dataset.kind = kind ?? "";
            for (const button of this.kinds) {
                button.disabled = !this.picture;
                button.setAttribute("aria-pressed", String(button.value === kind));
            }
        }

        say(text) {
            this.notice.textContent = text;
        }
    }

    /** A button beside the host's own under a gallery, of the looks of those. */
    function addButton(tab) {
        const row = byId(`image_buttons_${tab}`);
        if (!row || byId(`${tab}_instantas_view`)) return;
        const like = row.querySelector("button");
        const title = "Look at the picture in the InstantAS tab: around in a 360° panorama, or tiled three by three.";
        const button = element("button", {id: `${tab}_instantas_view`, type: "button", textContent: SYMBOL, title,
            className: like?.className ?? ""});
        button.onclick = () => {
            editor.app?.links.openTab(editor.app.config.tab);
            editor.viewer?.open(pictureOf(tab));
        };
        (like?.parentElement ?? row).append(button);
    }

    function mount() {
        const root = byId("instantas_viewer_root");
        if (root && !root.dataset.mounted) {
            root.dataset.mounted = "yes";
            root.closest(".prose")?.classList.remove("prose");
            editor.viewer = new Viewer(root);
        }
        GALLERIES.forEach(addButton);
    }

    function watchPage() {
        mount();
        new MutationObserver(mount).observe(document.body, {childList: true, subtree: true});
    }

    if (document.body) watchPage();
    else document.addEventListener("DOMContentLoaded", watchPage);
})(globalThis.instantasEditor ??= {});
