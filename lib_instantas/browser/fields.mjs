// Components of Gradio in the page, read and written the way a user would.

/** Frames in which a list that was opened must have shown its items. */
const TRIES = 20;

/** The value of a Gradio component: number, text, choice or switch; null where it is not in the page. */
export function read(root) {
    if (!root) return null;
    const checked = root.querySelector("input[type=radio]:checked");
    if (checked) return checked.value;
    const field = root.querySelector("input[type=number], textarea, input[type=checkbox], select, input");
    if (!field) return null;
    if (field.type === "checkbox") return field.checked;
    return field.type === "number" ? Number(field.value) : field.value;
}

/** Set a Gradio component's value the way a user would. Returns whether there was something to set. */
export function write(root, value) {
    const field = root?.querySelector("input[type=number], textarea, input[type=checkbox]");
    if (!field) return false;
    if (field.type === "checkbox") {
        if (field.checked !== value) field.click();
        return true;
    }
    if (field.value === String(value)) return true;
    field.value = value;
    field.dispatchEvent(new Event("input", {bubbles: true}));
    field.dispatchEvent(new Event("change", {bubbles: true}));
    return true;
}

/** Switch on: a checkbox, or the host's accordion with a checkbox in its title. */
export function switchOn(root) {
    const inTitle = root && document.getElementById(`${root.id}-visible-checkbox`);
    if (!inTitle) return write(root, true);
    root.querySelector(":scope > .label-wrap:not(.open)")?.click();
    setTimeout(() => inTitle.checked || inTitle.click());
    return true;
}

/**
 * Choose from a drop-down list, which takes no value from outside: open it and press the item. The events are made here,
 * because a list that is folded away cannot have the focus. Returns whether there was such an item.
 */
export async function choose(root, value) {
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
