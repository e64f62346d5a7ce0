// "Upscale with InstantAS": the host sends the picture, its prompt, size and seed to img2img, and there the extension is switched on
// with the preset that enlarges.

import {choose, read, switchOn, write} from "./fields.mjs";

const PRESET = "Upscale";
const BEFORE = "Standard";
const STRENGTH = 0.3;
const PANEL = "script_img2img_instantas";
const QUIET = 800;
const LONGEST = 10000;
const TRIES = 5;

const byId = id => document.getElementById(id);
const wait = time => new Promise(resolve => setTimeout(resolve, time));

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

/** Which borders of the picture meet, as the host says of it in the button's tab; undefined where it says nothing of it. */
const wrapOf = sender => sender.closest("[id^=tab_]")?.innerText.match(/InstantAS: "?v\d+[^:]*\bwrap=(\w+)/)?.[1];

/** Press the host's button that sends a picture to img2img, and set what enlarges it there. */
export async function upscale(sender) {
    const wrap = wrapOf(sender);
    sender.click();
    for (let i = 0; i < TRIES; i++) {
        await settled();
        if (i && isApplied(wrap)) return;
        await apply(wrap);
    }
}

async function apply(wrap) {
    switchOn(part("enabled"));
    // What is chosen already sets nothing anew, though the picture's parameters may have been written over it.
    if (part("preset")?.querySelector("input")?.value === PRESET) {
        await choose(part("preset"), BEFORE);
        await settled();
    }
    await choose(part("preset"), PRESET);
    if (wrap) {
        // The preset knows nothing of it: a texture or a panorama stays one when it is larger.
        await settled();
        await choose(part("wrap"), wrap);
    }
    for (const [field, value] of EXACT) write(field(), value);
    byId(PANEL)?.scrollIntoView({block: "nearest"});
}

/** Whether all is still as it was set: parameters of the picture may have come late. */
function isApplied(wrap) {
    const isSet = ([field, value]) => read(field()) === value;
    return EXACT.every(isSet) && read(part("upscale_by")) > 1 && (!wrap || read(part("wrap")) === wrap);
}
