"use strict";

// The page's language. The host hands the page a dictionary of whole texts, `localization`, merged from the files of one
// name of all extensions, and replaces those that it meets in the page. Sentences with values in them, and what it does
// not look at, are put together here. Where there is no host, there is no dictionary, and all is English. It is kept under
// a symbol, so that no name of the page's is taken.

/** A text in the page's language, its `{fields}` filled in. A single word is looked up as this extension's own first. */
globalThis[Symbol.for("instantas.text")] = (english, values = {}) => {
    const words = globalThis.localization ?? {};
    const found = words[`InstantAS: ${english}`] ?? words[english] ?? english;
    return found.replace(/\{(\w+)\}/g, (field, name) => values[name] ?? field);
};
