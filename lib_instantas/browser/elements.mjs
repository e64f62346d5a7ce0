// Elements of the page. Whatever a user or a file brought is set as text, never as markup.

export function element(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
        else if (name in node && typeof value !== "string") node[name] = value;
        else node.setAttribute(name, value);
    }
    node.append(...children.filter(child => child !== null));
    return node;
}

const PATHS = {
    select: "M5 3l14 8-6 1.5L9.5 19z",
    rectangle: "M4 6h16v12H4z",
    polygon: "M12 3l8.5 6.5-3 10.5h-11l-3-10.5z",
    brush: "M14 4l6 6-8 8-6-6zM6 12l-3 9 9-3",
    eraser: "M9 19l-6-6L13 3l8 8-8 8zM8 8l8 8M9 19h12",
    upload: "M12 16V4M7 9l5-5 5 5M4 20h16",
    undo: "M9 14L4 9l5-5M4 9h10a6 6 0 010 12h-3",
    redo: "M15 14l5-5-5-5M20 9H10a6 6 0 000 12h3",
    plus: "M12 5v14M5 12h14",
    minus: "M5 12h14",
    fit: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
    up: "M12 19V5M6 11l6-6 6 6",
    down: "M12 5v14M6 13l6 6 6-6",
    copy: "M9 9h11v11H9zM5 15H4V4h11v1",
    trash: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
    eye: "M2 12s4-7 10-7 10 7 10 7-4 7-10 7S2 12 2 12zM12 9a3 3 0 100 6 3 3 0 000-6z",
    hidden: "M3 3l18 18M10 5.2A9 9 0 0112 5c6 0 10 7 10 7a17 17 0 01-3 3.7M6 7a17 17 0 00-4 5s4 7 10 7a9 9 0 004-1",
    picture: "M4 5h16v14H4zM4 16l5-5 4 4 3-3 4 4M15 9h.01",
    bookmark: "M6 4h12v17l-6-5-6 5z",
    file: "M6 3h8l4 4v14H6zM14 3v4h4",
    play: "M7 4l13 8-13 8z",
    pause: "M8 5v14M16 5v14",
    send: "M4 12h15M13 6l6 6-6 6",
    swap: "M7 4v16M3 8l4-4 4 4M17 20V4M13 16l4 4 4-4",
    invert: "M12 3a9 9 0 100 18zM12 3a9 9 0 010 18",
};

export function icon(name) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", PATHS[name]);
    svg.append(path);
    return svg;
}

/** A button that says what it does to mouse, keyboard and screen reader. */
export function button({icon: name, label, title = label, text = null, onclick, ...rest}) {
    const node = element("button", {type: "button", class: "ias-button", title, "aria-label": label, onclick, ...rest});
    if (name) node.append(icon(name));
    if (text !== null) node.append(element("span", {}, text));
    return node;
}

/** Fields in which the user has typed something that is not settled yet. */
const inHand = new WeakSet();
document.addEventListener("input", event => inHand.add(event.target), true);
document.addEventListener("change", event => inHand.delete(event.target), true);
document.addEventListener("focusout", event => inHand.delete(event.target), true);

/** Change a field's value unless the user is typing in it. */
export function fill(field, value) {
    if (inHand.has(field) && field.type !== "range") return;
    if (field.value !== String(value)) field.value = value;
}

/** A slider and a number that are one value. `onchange(value)` at each move, `onsettle()` when it is let go. */
export function slider({label, min, max, step, largest = max, unit = "", onchange, onsettle = () => {}}) {
    const range = element("input", {type: "range", min: `${min}`, max: `${max}`, step: `${step}`, "aria-label": label});
    const number = element("input", {type: "number", min: `${min}`, max: `${largest}`, step: "any", "aria-label": label});
    const changed = field => {
        const value = Number(field.value);
        if (field.value !== "" && value >= min && value <= largest) onchange(value);
    };
    for (const field of [range, number]) {
        field.addEventListener("input", () => changed(field));
        field.addEventListener("change", onsettle);
    }
    const root = element("label", {class: "ias-slider"}, element("span", {}, label), range, number);
    if (unit) root.append(element("span", {class: "ias-unit"}, unit));
    const set = value => [range, number].forEach(field => fill(field, Number(value.toFixed(4))));
    return {root, range, number, set};
}

/** A button with a panel that opens below it; Escape or a click elsewhere closes it. */
export function menu(icon, label, content, onopen = () => {}) {
    const panel = element("div", {class: "ias-menu-panel", hidden: true, role: "group", "aria-label": label}, ...content);
    const opener = button({icon, label, text: label, "aria-expanded": "false", onclick: () => toggle(panel.hidden)});
    const root = element("div", {class: "ias-menu"}, opener, panel);
    function toggle(open) {
        panel.hidden = !open;
        opener.setAttribute("aria-expanded", `${open}`);
        if (open) onopen();
    }
    document.addEventListener("pointerdown", event => !root.contains(event.target) && toggle(false));
    root.addEventListener("keydown", event => {
        if (event.key !== "Escape" || panel.hidden) return;
        event.stopPropagation();
        toggle(false);
        opener.focus();
    });
    return {root, close: () => toggle(false)};
}
