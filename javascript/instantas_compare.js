"use strict";

// "With and without": the panel's button has the host make the same seed twice, by the script of that name in the host's
// list, and the two pictures are shown under a slider below the gallery. The list is as it was once the host has begun.
(function () {
    const SCRIPT = "InstantAS: with and without";
    const WITH = "InstantAS";
    const WITHOUT = "Without InstantAS";
    const TABS = ["txt2img", "img2img"];
    const SOON = 3000;
    const LATEST = 10000;
    const POLL = 200;

    /** Looked up late: the page's scripts are all there by then. */
    const text = (...given) => globalThis[Symbol.for("instantas.text")](...given);

    const byId = id => document.getElementById(id);
    const wait = time => new Promise(resolve => setTimeout(resolve, time));

    function element(name, {label, ...properties}, ...children) {
        const made = Object.assign(document.createElement(name), properties);
        if (label) made.setAttribute("aria-label", label);
        made.append(...children);
        return made;
    }

    /** Whether a condition holds before so many milliseconds are over. */
    async function until(condition, time) {
        for (const end = Date.now() + time; Date.now() < end; await wait(POLL)) if (condition()) return true;
        return condition();
    }

    const scriptList = tab => document.querySelector(`#tab_${tab} #script_list`);
    const chosenIn = list => list?.querySelector("input")?.value ?? "";
    const isBusy = tab => getComputedStyle(byId(`${tab}_interrupt`)).display !== "none";
    const beside = tab => byId(`script_${tab}_instantas_with_and_without_beside`);

    /** Gradio's lists take no value from outside: open, and choose, as a user would. */
    async function choose(list, value) {
        const field = list.querySelector("input");
        if (field.value === value) return;
        field.dispatchEvent(new FocusEvent("focus"));
        const textOf = item => item.getAttribute("aria-label") ?? item.lastChild.textContent.trim();
        const item = () => [...list.querySelectorAll("ul.options li")].find(one => textOf(one) === value);
        await until(item, SOON);
        item()?.dispatchEvent(new MouseEvent("mousedown", {bubbles: true, cancelable: true}));
        field.dispatchEvent(new FocusEvent("blur"));
        await until(() => field.value === value, SOON);
    }

    async function compare(tab) {
        const list = scriptList(tab);
        if (!list || isBusy(tab)) return;
        const before = chosenIn(list);
        await choose(list, SCRIPT);
        // The script's own choice comes into the page now; where it does not, it is what it was at first.
        await until(() => beside(tab)?.offsetParent, SOON);
        if (chosenIn(list) === SCRIPT) {
            byId(`${tab}_generate`).click();
            await until(() => isBusy(tab), SOON);
        }
        await choose(list, before);
    }

    /** The finished pictures in the gallery, in their order. */
    const pictures = tab => [...new Set(
        [...document.querySelectorAll(`#${tab}_gallery .thumbnail-item img`)].map(picture => picture.src))];

    /** The host has been asked for pictures: what was compared is over, and what comes may be a comparison. */
    async function begun(tab) {
        byId(`${tab}_instantas_comparison`)?.remove();
        if (chosenIn(scriptList(tab)) !== SCRIPT) return;
        const other = beside(tab)?.querySelector("input")?.value || WITHOUT;
        const before = pictures(tab).join();
        if (!await until(() => isBusy(tab), SOON)) return;
        while (isBusy(tab)) await wait(POLL);
        await until(() => pictures(tab).join() !== before, LATEST);
        const made = pictures(tab);
        const alone = whyAlone(tab);
        if (alone) say(tab, alone);
        else if (made.join() !== before && made.length > 1 && made.length % 2 === 0) show(tab, made, other);
    }

    /** Why there is nothing beside what was made, as the host says below it; nothing where both are there. */
    function whyAlone(tab) {
        const said = byId(`html_log_${tab}`)?.querySelector(".comments")?.innerText ?? "";
        const titles = [text("Nothing to compare"), text("The second picture could not be made")];
        const before = text("InstantAS: {message}", {message: ""});
        const why = said.split("\n").find(line => titles.some(title => line.startsWith(before + title)));
        return why?.slice(before.length);
    }

    /** A sentence in the place of a comparison. */
    function say(tab, sentence) {
        place(tab, element("div", {textContent: sentence, className: "instantas-told"}));
    }

    function place(tab, ...children) {
        const close = element("button", {type: "button", textContent: text("Close"), title: text("Close the comparison")});
        const root = element("div", {id: `${tab}_instantas_comparison`, className: "instantas-comparison",
            label: text("With and without InstantAS")}, ...children);
        root.setAttribute("role", "group");
        root.lastChild.append(close);
        close.onclick = () => root.remove();
        (byId(`${tab}_gallery_container`) ?? byId(`${tab}_gallery`)).after(root);
    }

    /** The first half of the pictures was made with the panel's settings, the second without them, in the same order. */
    function show(tab, made, other) {
        const count = made.length / 2;
        const right = other === WITHOUT ? text("Without InstantAS") : other;
        const over = element("img", {alt: WITH, className: "instantas-over", draggable: false});
        const under = element("img", {alt: right, draggable: false});
        const range = element("input", {type: "range", min: 0, max: 100, step: 1, label:
            text("Drag, or press the arrow keys: {left} on the left, {right} on the right", {left: WITH, right})});
        const stage = element("div", {className: "instantas-stage"}, under, over,
            element("span", {className: "instantas-left", textContent: WITH}),
            element("span", {className: "instantas-right", textContent: right}), range);
        const put = value => {
            range.value = value;
            range.setAttribute("aria-valuetext", `${value} % ${WITH}`);
            stage.style.setProperty("--instantas-at", `${value}%`);
        };
        const take = index => [over.src, under.src] = [made[index], made[index + count]];
        range.oninput = () => put(range.value);
        put(50);
        take(0);
        const which = element("select", {label: text("Which picture"), hidden: count < 2, onchange: () => take(which.selectedIndex)},
            ...Array.from({length: count}, (_, i) => element("option", {textContent: text("Picture {number} of {count}", {number: i + 1, count})})));
        place(tab, stage, element("div", {}, which));
    }

    document.addEventListener("click", ({target}) => {
        for (const tab of TABS) {
            if (target.closest?.(`#script_${tab}_instantas_compare`)) compare(tab);
            if (target.closest?.(`#${tab}_generate`)) begun(tab);
        }
    }, true);
})();
