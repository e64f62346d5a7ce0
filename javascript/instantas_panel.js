"use strict";

// A size in the panel that is left empty becomes 0, the page's own: Gradio tells nobody of a number that was emptied,
// and the panel's line would go on about the number before.
(function (editor) {
    const SIZES = '[id$="_instantas_width"], [id$="_instantas_height"]';

    document.addEventListener("focusout", ({target}) => {
        if (target.type === "number" && target.value === "") editor.fields.write(target.closest(SIZES), 0);
    });
})(globalThis.instantasEditor ??= {});
