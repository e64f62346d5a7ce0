"use strict";

// All of InstantAS that runs in a page from its beginning: puts its buttons where they belong, and loads the modules that
// do the work (`lib_instantas/browser`) when they are first used.
(function () {
    const ROUTE = "instantas/browser";
    /** Milliseconds after which the page is looked at again: some of its fields change without telling. */
    const POLL = 600;
    const TAB = "InstantAS";
    const EDIT = "_edit_regions";
    const GIVEN = "script_img2img_instantas_given";
    const SIZES = '[id$="_instantas_width"], [id$="_instantas_height"]';

    /** The host's own buttons that send a picture to img2img; where one lies in a row of symbols, so does ours. */
    const SENDERS = [
        ...["txt2img", "img2img", "extras"].map(tab => ({id: `${tab}_send_to_img2img`, own: `${tab}_instantas_upscale`})),
        {id: "img2img_tab", own: "pnginfo_instantas_upscale", text: () => text("Upscale with InstantAS")},
    ];

    /** Where the tab's modules put themselves, and what does it. */
    const PLACES = [
        {id: "instantas_editor_root", file: "editor.mjs", mount: (module, root) => module.editorIn(root)},
        {id: "instantas_viewer_root", file: "viewer.mjs", mount: (module, root) => module.viewerIn(root)},
    ];

    /** Looked up late: the page's scripts are all there by then. */
    const text = (...given) => globalThis[Symbol.for("instantas.text")](...given);

    const byId = id => document.getElementById(id);

    async function versionOfModules() {
        const answer = await fetch(`${ROUTE}/version`);
        if (!answer.ok) throw new Error(text("The server answers {status}.", {status: answer.status}));
        return answer.text();
    }

    let version = null;

    /** A module by its file's name, fetched the first time. */
    async function load(file) {
        version ??= versionOfModules();
        try {
            return await import(new URL(`${ROUTE}/${await version}/${file}`, document.baseURI));
        } catch (error) {
            version = null;
            throw error;
        }
    }

    /** What is in the places, or is on its way there, by their ids. */
    const filled = new Map();

    /** What stands in a place, the editor or the viewer, put there the first time. */
    function mounted({id, file, mount}) {
        if (!filled.has(id)) filled.set(id, mountIn(byId(id), file, mount));
        return filled.get(id);
    }

    async function mountIn(root, file, mount) {
        root.textContent = text("Loading …");
        try {
            return mount(await load(file), root);
        } catch (error) {
            root.textContent = text("InstantAS: this could not be loaded; reload the page. ({reason})", {reason: error.message});
            throw error;
        }
    }

    const [EDITOR, VIEWER] = PLACES;

    /** A place is filled when it is first seen: hidden, it has no size. */
    const whenSeen = new ResizeObserver(entries => {
        for (const {target} of entries) {
            if (target.offsetParent) mounted(PLACES.find(({id}) => id === target.id));
        }
    });

    const watched = new WeakSet();

    function watch(place) {
        if (!place || watched.has(place)) return;
        watched.add(place);
        whenSeen.observe(place);
    }

    function openTab() {
        const tabs = byId("tabs")?.querySelectorAll("button") ?? [];
        [...tabs].find(tab => tab.textContent.trim() === TAB)?.click();
    }

    /** The regions' text that a button was last told of. */
    const shown = new WeakMap();

    /** The panel's button tells how many regions are active in it, and opens the editor with them. */
    function showActive(button) {
        const prefix = button.id.slice(0, -EDIT.length);
        const regions = byId(`${prefix}_regions`)?.querySelector("textarea")?.value ?? "";
        if (shown.get(button) === regions) return;
        shown.set(button, regions);
        button.textContent = text("Edit regions ({count} active)", {count: activeIn(regions)});
        button.onclick = async () => {
            openTab();
            (await mounted(EDITOR)).take(prefix);
        };
    }

    /** How many regions a setup's text switches on; 0 for what is no setup. */
    function activeIn(given) {
        try {
            const setup = JSON.parse(given || "[]");
            const regions = Array.isArray(setup) ? setup : setup.regions;
            return regions.filter(r => r.enabled !== false && r.weight !== 0).length;
        } catch {
            return 0;
        }
    }

    function addButton(row, properties) {
        row.append(Object.assign(document.createElement("button"), {type: "button", ...properties}));
    }

    function addUpscale({id, own, text: name = () => "⏫"}) {
        const sender = byId(id);
        if (!sender || byId(own)) return;
        const onclick = async () => (await load("upscale.mjs")).upscale(sender);
        const title = text("Upscale with InstantAS: send the picture, its prompt, size and seed to img2img, with the preset Upscale.");
        addButton(sender.parentElement, {id: own, title, textContent: name(), className: sender.className, onclick});
    }

    function addView(tab) {
        const [row, own] = [byId(`image_buttons_${tab}`), `${tab}_instantas_view`];
        if (!row || byId(own)) return;
        const like = row.querySelector("button");
        const onclick = async () => {
            openTab();
            // The editor lies above and takes its room when it comes: only then is it known where the viewer is.
            const [viewer] = await Promise.all([mounted(VIEWER), mounted(EDITOR).catch(() => null)]);
            viewer.openLast(tab);
        };
        const title = text("Look at the picture in the InstantAS tab: around in a 360° panorama, or tiled three by three.");
        addButton(like?.parentElement ?? row,
            {id: own, title, textContent: "🌐", className: like?.className ?? "", onclick});
    }

    /** Tell img2img's panel how large the given picture is, as the host finds it out for its own "Resize by". */
    function tellGiven() {
        const field = byId(GIVEN)?.querySelector("textarea, input");
        const [width, height] = globalThis.currentImg2imgSourceResolution?.(0, 0, 1) ?? [];
        const size = width && height ? `${width}x${height}` : "";
        if (!field || field.value === size) return;
        field.value = size;
        field.dispatchEvent(new Event("input", {bubbles: true}));
    }

    function look() {
        tellGiven();
        PLACES.forEach(({id}) => watch(byId(id)));
        for (const button of document.querySelectorAll(`[id$="_instantas${EDIT}"]`)) showActive(button);
        SENDERS.forEach(addUpscale);
        ["txt2img", "img2img"].forEach(addView);
    }

    setInterval(look, POLL);

    // A size in the panel that is left empty becomes 0, the page's own: Gradio tells nobody of a number that was emptied,
    // and the panel's line would go on about the number before.
    document.addEventListener("focusout", async ({target}) => {
        const size = target.type === "number" && target.value === "" && target.closest(SIZES);
        if (size) (await load("fields.mjs")).write(size, 0);
    });
})();
