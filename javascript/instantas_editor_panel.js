"use strict";

// The list of regions, the uppermost first. The selected one is open and shows its prompts and numbers.
(function (editor) {
    class Panel {
        constructor(actions, tokens) {
            Object.assign(this, {actions, tokens, store: actions.store, cards: new Map()});
            const {element} = editor.dom;
            this.count = element("span", {class: "ias-badge"});
            this.overlap = this.makeOverlap();
            this.list = element("div", {class: "ias-cards", role: "list", "aria-label": "Regions"});
            this.empty = element("p", {class: "ias-empty"}, "Draw a rectangle, a polygon or a mask on the canvas. ",
                "What no region covers follows the main prompt.");
            this.root = element("div", {class: "ias-panel"},
                element("div", {class: "ias-panel-head"}, element("strong", {}, "Regions"), this.count, this.overlap),
                this.empty, this.list);
        }

        makeOverlap() {
            const {element} = editor.dom;
            return element("select", {
                class: "ias-select", title: "Where regions overlap", "aria-label": "Where regions overlap",
                onchange: event => this.actions.setOverlap(event.target.value),
            }, element("option", {value: "weight"}, "Overlap: by weight"), element("option", {value: "upper"}, "Overlap: upper wins"));
        }

        render(drawing, view) {
            const active = editor.model.active(drawing).length;
            this.count.textContent = drawing.regions.length ? `${active} of ${drawing.regions.length} active` : "none";
            this.empty.hidden = drawing.regions.length > 0;
            editor.dom.fill(this.overlap, drawing.overlap);
            this.dropCards(drawing);
            const order = [...drawing.regions].reverse().map(region => this.card(region));
            order.forEach((card, i) => {
                if (this.list.children[i] !== card.root) this.list.insertBefore(card.root, this.list.children[i] ?? null);
            });
            for (const region of drawing.regions) this.cards.get(region.id).render(region, drawing, view.selected === region.id);
        }

        card(region) {
            if (!this.cards.has(region.id)) this.cards.set(region.id, new editor.Card(region.id, this.actions, this.tokens));
            return this.cards.get(region.id);
        }

        dropCards(drawing) {
            for (const [id, card] of this.cards) {
                if (editor.model.find(drawing, id)) continue;
                card.root.remove();
                this.cards.delete(id);
            }
        }

        /** Show the token counts that the server found: a Map of texts to {count, limit}. */
        showTokens(counts) {
            for (const card of this.cards.values()) card.showTokens(counts);
        }

        reveal(id) {
            this.cards.get(id)?.root.scrollIntoView({block: "nearest"});
        }
    }

    editor.Panel = Panel;
})(globalThis.instantasEditor ??= {});
