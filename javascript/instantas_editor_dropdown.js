"use strict";

// Gradio's drop-down lists take no value from outside: open the list, choose, as a user would. The events are made
// here, because a list that is folded away cannot have the focus.
(function (editor) {
    const TRIES = 20;

    async function choose(root, value) {
        const field = root?.querySelector("input");
        if (!field || field.value === value) return Boolean(field);
        field.dispatchEvent(new FocusEvent("focus"));
        for (let i = 0; i < TRIES; i++) {
            await new Promise(requestAnimationFrame);
            const item = [...root.querySelectorAll("ul.options li")].find(li => textOf(li) === value);
            if (!item) continue;
            item.dispatchEvent(new MouseEvent("mousedown", {bubbles: true, cancelable: true}));
            field.dispatchEvent(new FocusEvent("blur"));
            return true;
        }
        field.dispatchEvent(new FocusEvent("blur"));
        return false;
    }

    /** The item's own text, without the tick before the chosen one. */
    const textOf = item => item.getAttribute("aria-label") ?? item.lastChild.textContent.trim();

    editor.dropdown = {choose};
})(globalThis.instantasEditor ??= {});
