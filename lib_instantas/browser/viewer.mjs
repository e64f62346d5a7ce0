// Looks at a finished picture in the tab: around in it, where it is a 360° panorama, or laid side by side three by three,
// where it is a texture. The library for panoramas is loaded when the first of them is shown.

import {element} from "./elements.mjs";
import {text} from "./texts.mjs";

const GALLERIES = ["txt2img", "img2img"];
const NAMES = {sphere: "360°", tiled: text("Tiled 3×3")};

const addressOf = name => new URL(`./vendored/${name}`, import.meta.url).href;

let loading = null;

/** The library, loaded once; a promise that fails if the host does not serve it. */
function library() {
    loading ??= new Promise((resolve, reject) => {
        const script = element("script", {src: addressOf("pannellum.js"), onload: () => resolve(globalThis.pannellum)});
        script.onerror = () => {
            loading = null;
            reject(new Error(text("The viewer's library could not be loaded.")));
        };
        document.head.append(element("link", {rel: "stylesheet", href: addressOf("pannellum.css")}), script);
    });
    return loading;
}

/** The picture of a gallery that is shown large, else its first one. */
function pictureOf(tab) {
    const gallery = document.getElementById(`${tab}_gallery`);
    return gallery?.querySelector("img[data-testid=detailed-image], .preview > button > img, img")?.src ?? null;
}

/** Which way of looking suits a picture of a gallery: what the host says of it below; null where that tells nothing. */
function kindIn(tab) {
    const wrap = document.getElementById(`html_info_${tab}`)?.textContent.match(/InstantAS: "?v\d+[^:]*\bwrap=(\w+)/)?.[1];
    return {horizontal: "sphere", both: "tiled"}[wrap] ?? null;
}

class Viewer {
    constructor(root) {
        this.root = root;
        root.closest(".prose")?.classList.remove("prose");
        this.stage = element("div", {class: "ias-view-stage", hidden: true});
        this.notice = element("span", {class: "ias-view-notice", role: "status"});
        this.kinds = Object.entries(NAMES).map(([kind, name]) =>
            element("button", {type: "button", value: kind, onclick: () => this.show(kind)}, name));
        const results = GALLERIES.map(tab => element("button", {type: "button", onclick: () => this.openLast(tab)}, text("Last of {tab}", {tab: text(tab)})));
        const file = element("input", {type: "file", accept: "image/*"});
        file.onchange = () => file.files.length && this.open(URL.createObjectURL(file.files[0]));
        const choose = element("label", {class: "ias-view-file"}, `${text("Open a picture")} `, file);
        root.replaceChildren(
            element("p", {}, text("Look around in a 360° panorama, or see a texture laid side by side:")),
            element("div", {class: "ias-view-bar"}, ...results, choose, ...this.kinds, this.notice), this.stage);
        this.mark(null);
    }

    /** Show what was made last in one of the host's tabs. */
    openLast(tab) {
        return this.open(pictureOf(tab), kindIn(tab));
    }

    /** Show the picture at an address. Where it is not known what it is, one twice as wide as high is taken for a panorama. */
    async open(source, kind = null) {
        if (!source) return this.say(text("There is no picture yet."));
        this.picture = element("img", {src: source});
        try {
            await this.picture.decode();
        } catch {
            return this.say(text("This is not a picture that the browser can show."));
        }
        const {naturalWidth: width, naturalHeight: height} = this.picture;
        await this.show(kind ?? (width === 2 * height ? "sphere" : "tiled"));
    }

    async show(kind) {
        this.say("");
        this.close();
        this.stage.hidden = false;
        try {
            await (kind === "sphere" ? this.showSphere() : this.showTiled());
            this.mark(kind);
            // Between two pictures the page was shorter, and may have moved.
            this.root.scrollIntoView({block: "nearest"});
        } catch (error) {
            this.say(error.message);
        }
    }

    async showSphere() {
        const pannellum = await library();
        const {naturalWidth, naturalHeight} = this.picture;
        const place = element("div", {class: "ias-view-sphere"});
        this.stage.replaceChildren(place);
        // A picture that is wider is a band around the horizon: as high as it is, not stretched up to the poles, and the
        // view no higher than the band.
        const vaov = Math.min(180, 360 * naturalHeight / naturalWidth);
        const [half, shape] = [vaov * Math.PI / 360, place.clientWidth / place.clientHeight];
        const hfov = Math.min(90, 360 / Math.PI * Math.atan(Math.tan(half) * shape));
        this.sphere = pannellum.viewer(place, {
            type: "equirectangular", panorama: this.picture.src, autoLoad: true, ignoreGPanoXMP: true,
            compass: false, hfov, minHfov: Math.min(50, hfov / 2), maxHfov: vaov < 180 ? hfov : 120, vaov,
            strings: {loadingLabel: text("Loading …")},
        });
        await new Promise((resolve, reject) => {
            this.sphere.on("load", resolve);
            this.sphere.on("error", reason => reject(new Error(String(reason))));
        });
    }

    showTiled() {
        const {naturalWidth, naturalHeight, src} = this.picture;
        const place = element("div", {class: "ias-view-tiled"});
        place.style.aspectRatio = `${naturalWidth} / ${naturalHeight}`;
        place.style.maxWidth = `calc(80vh * ${naturalWidth / naturalHeight})`;
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

    say(notice) {
        this.notice.textContent = notice;
    }
}

/** The page's one viewer, once it is there. */
let viewer = null;

/** The viewer in its place, put there the first time. */
export function viewerIn(root) {
    return viewer ??= new Viewer(root);
}
