// The drawing in the browser's storage. A window has its own, which survives a reload and a restart of the server;
// what was saved last, in any window, is what a new window begins with.

import * as model from "./model.mjs";

const KEY = "instantas.editor";
const PICTURE_KEY = "instantas.editor.picture";
const VIEW = ["brush", "grid", "step"];

let saved = {};

/** Keep the drawing and the view, if either is another than when they were kept last. */
export function save(drawing, view) {
    const kept = JSON.stringify(Object.fromEntries(VIEW.map(name => [name, view[name]])));
    if (drawing === saved.drawing && kept === saved.view) return;
    saved = {drawing, view: kept};
    put(KEY, JSON.stringify({version: 1, document: model.toDocument(drawing), view: JSON.parse(kept)}));
}

/** {drawing, view} of this window, in a new one what was saved last, or null. */
export function load() {
    const found = read("sessionStorage") ?? begunWithTheLast();
    if (found) saved = {drawing: found.drawing, view: JSON.stringify(found.view)};
    return found;
}

function begunWithTheLast() {
    const last = read("localStorage");
    if (last) for (const key of [KEY, PICTURE_KEY]) putInto("sessionStorage", key, get("localStorage", key));
    return last;
}

function read(storage) {
    try {
        const found = JSON.parse(get(storage, KEY));
        if (found?.version !== 1) return null;
        return {drawing: model.fromDocument(found.document), view: found.view};
    } catch (error) {
        console.warn("InstantAS: what the browser kept cannot be read:", error.message);
        return null;
    }
}

/** Keep the user's own reference picture (a data URL), or none. */
export const savePicture = url => put(PICTURE_KEY, url);

export const loadPicture = () => get("sessionStorage", PICTURE_KEY);

function put(key, text) {
    putInto("sessionStorage", key, text);
    putInto("localStorage", key, text);
}

/** A storage that is full or forbidden costs the autosave, nothing else. */
function putInto(storage, key, text) {
    try {
        if (text) globalThis[storage].setItem(key, text);
        else globalThis[storage].removeItem(key);
    } catch (error) {
        console.warn("InstantAS: the drawing could not be kept in the browser:", error.message);
    }
}

function get(storage, key) {
    try {
        return globalThis[storage].getItem(key);
    } catch {
        return null;
    }
}
