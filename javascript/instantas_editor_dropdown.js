"use strict";

// Gradio's drop-down lists take no value from outside: open the list, choose, as a user would.
(function (editor) {
    const TRIES = 20;

    async function choose(root, value) {
        const field = root?.querySelector("input");
        if (!field || field.value === value) return Boolean(field);
        const focused = document.activeElement;
        field.focus({preventScroll: true});
        for (let i = 0; i < TRIES; i++) {
            await new Promise(requestAnimationFrame);
            const item = [...root.querySelectorAll("ul.options li")].find(li => textOf(li) === value);
            if (!item) continue;
            item.dispatchEvent(new MouseEvent("mousedown", {bubbles: true, cancelable: true}));
            field.blur();
            focused?.focus({preventScroll: true});
            return true;
        }
        field.blur();
        return false;
    }

    /** The item's own text, without the tick before the chosen one. */
    const textOf = item => item.getAttribute("aria-label") ?? item.lastChild.textContent.trim();

    editor.dropdown = {choose};
})(globalThis.instantasEditor ??= {});
