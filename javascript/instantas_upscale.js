"use strict";

// "Upscale with InstantAS" under the galleries and in PNG Info: the host sends the picture and its parameters to img2img,
// and there the extension is switched on with the preset that enlarges.
(function (editor) {
    const PRESET = "Upscale";
    const BEFORE = "Standard";
    const STRENGTH = 0.3;
    const SYMBOL = "⏫";
    const TITLE = "Upscale with InstantAS: send the picture and its parameters to img2img, with the preset Upscale.";
    const PANEL = "script_img2img_instantas";
    const QUIET = 800;
    const LONGEST = 10000;
    const TRIES = 5;

    const byId = id => document.getElementById(id);
    const wait = time => new Promise(resolve => setTimeout(resolve, time));

    /** The host's own buttons that send a picture to img2img; where one lies in a row of symbols, so does ours. */
    const SENDERS = [
        ...["txt2img", "img2img", "extras"].map(tab => ({id: `${tab}_send_to_img2img`, own: `${tab}_instantas_upscale`})),
        {id: "img2img_tab", own: "pnginfo_instantas_upscale", text: "Upscale with InstantAS"},
    ];

    /** Wait until the host has sent everything: it writes prompt, size and settings one after the other. */
    async function settled() {
        const begun = Date.now();
        let seen = null, since = Date.now();
        while (Date.now() - begun < LONGEST) {
            const now = [...document.querySelectorAll(`#tab_img2img input, #tab_img2img textarea`)]
                .map(field => (field.type === "checkbox" ? field.checked : field.value)).join("\n");
            if (now !== seen) [seen, since] = [now, Date.now()];
            if (byId("tab_img2img")?.offsetParent && Date.now() - since > QUIET) return;
            await wait(100);
        }
    }

    const part = name => byId(`${PANEL}_${name}`);
    const EXACT = [[() => part("width"), 0], [() => part("height"), 0], [() => byId("img2img_denoising_strength"), STRENGTH]];

    async function upscale(sender) {
        sender.click();
        for (let i = 0; i < TRIES; i++) {
            await settled();
            if (i && isApplied()) return;
            await apply();
        }
    }

    async function apply() {
        const {fields, dropdown} = editor;
        switchOn(part("enabled"));
        // What is chosen already sets nothing anew, though the picture's parameters may have been written over it.
        if (part("preset")?.querySelector("input")?.value === PRESET) {
            await dropdown.choose(part("preset"), BEFORE);
            await settled();
        }
        await dropdown.choose(part("preset"), PRESET);
        for (const [field, value] of EXACT) fields.write(field(), value);
        byId(PANEL)?.scrollIntoView({block: "nearest"});
    }

    /** Whether all is still as it was set: parameters of the picture may have come late. */
    function isApplied() {
        const isSet = ([field, value]) => editor.fields.read(field()) === value;
        return EXACT.every(isSet) && editor.fields.read(part("upscale_by")) > 1;
    }

    /** The switch is a checkbox, or the host's accordion with a checkbox in its title. */
    function switchOn(root) {
        const inTitle = root && byId(`${root.id}-visible-checkbox`);
        if (!inTitle) return editor.fields.write(root, true);
        root.querySelector(".label-wrap:not(.open)")?.click();
        setTimeout(() => inTitle.checked || inTitle.click());
    }

    function addButton({id, own, text}) {
        const sender = byId(id);
        if (!sender || byId(own)) return;
        const button = document.createElement("button");
        Object.assign(button, {id: own, type: "button", title: TITLE, textContent: text ?? SYMBOL,
            className: sender.className, onclick: () => upscale(sender)});
        sender.parentElement.append(button);
    }

    const mount = () => SENDERS.forEach(addButton);

    function watchPage() {
        mount();
        new MutationObserver(mount).observe(document.body, {childList: true, subtree: true});
    }

    if (document.body) watchPage();
    else document.addEventListener("DOMContentLoaded", watchPage);
})(globalThis.instantasEditor ??= {});
