"use strict";

// The drawing in the browser's own storage: it survives a reload of the page and a restart of the server.
(function (editor) {
    const KEY = "instantas.editor";
    const PICTURE_KEY = "instantas.editor.picture";
    const VIEW = ["brush", "grid", "step"];

    function save(drawing, view) {
        const kept = Object.fromEntries(VIEW.map(name => [name, view[name]]));
        put(KEY, JSON.stringify({version: 1, document: editor.model.toDocument(drawing), view: kept}));
    }

    /** A storage that is full or forbidden costs the autosave, nothing else. */
    function put(key, text) {
        try {
            localStorage.setItem(key, text);
        } catch (error) {
            console.warn("InstantAS: the drawing could not be kept in the browser:", error.message);
        }
    }

    /** {drawing, view} as saved, or null. */
    function load() {
        try {
            const saved = JSON.parse(localStorage.getItem(KEY));
            if (saved?.version !== 1) return null;
            return {drawing: editor.model.fromDocument(saved.document), view: saved.view};
        } catch (error) {
            console.warn("InstantAS: what the browser kept cannot be read:", error.message);
            return null;
        }
    }

    /** Keep the user's own reference picture (a data URL), or none. */
    function savePicture(url) {
        if (url) put(PICTURE_KEY, url);
        else localStorage.removeItem(PICTURE_KEY);
    }

    const loadPicture = () => localStorage.getItem(PICTURE_KEY);

    editor.autosave = {save, load, savePicture, loadPicture};
})(globalThis.instantasEditor ??= {});
