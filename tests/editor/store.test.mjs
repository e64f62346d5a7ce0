// The drawing, its history and its storage, without a browser: `node --test tests/editor/store.test.mjs`.

import assert from "node:assert/strict";
import {beforeEach, test} from "node:test";

const FOLDER = "../../lib_instantas/browser";

class Kept {
    constructor() {
        this.texts = new Map();
        this.writes = 0;
    }

    getItem(key) {
        return this.texts.get(key) ?? null;
    }

    setItem(key, text) {
        this.writes += 1;
        this.texts.set(key, String(text));
    }

    removeItem(key) {
        this.writes += 1;
        this.texts.delete(key);
    }
}

await import("../../javascript/instantas_texts.js");
const model = await import(`${FOLDER}/model.mjs`);
const autosave = await import(`${FOLDER}/autosave.mjs`);
const geometry = await import(`${FOLDER}/geometry.mjs`);

const BOX = {type: "rectangle", x: 0.25, y: 0, width: 0.5, height: 1};
const VIEW = {selected: null, tool: "select", brush: 96, grid: true, step: 0};

let store;

function draw(shape = BOX) {
    store.commit(model.added(store.drawing, model.newRegion(store.drawing, shape)));
    return store.drawing.regions.at(-1).id;
}

const names = () => store.drawing.regions.map(region => region.name);

beforeEach(() => {
    for (const storage of ["localStorage", "sessionStorage"]) {
        Object.defineProperty(globalThis, storage, {value: new Kept(), configurable: true, writable: true});
    }
    store = new model.Store(model.emptyDrawing(), {...VIEW});
});

test("each change is undone and done again", () => {
    draw();
    draw();
    store.undo();
    assert.deepEqual(names(), ["Region 1"]);
    store.undo();
    assert.deepEqual(names(), []);
    store.redo();
    store.redo();
    assert.deepEqual(names(), ["Region 1", "Region 2"]);
});

test("changes in a row of one kind are undone together until they are settled", () => {
    const id = draw();
    const type = prompt => store.commit(model.changed(store.drawing, id, {prompt}), {merge: "prompt"});
    type("a");
    type("ab");
    store.settle();
    type("abc");
    store.undo();
    assert.equal(store.drawing.regions[0].prompt, "ab");
    store.undo();
    assert.equal(store.drawing.regions[0].prompt, "");
});

test("a new change forgets what was undone", () => {
    draw();
    store.undo();
    draw();
    store.redo();
    assert.deepEqual(names(), ["Region 1"]);
});

test("what is selected is let go with its region", () => {
    const id = draw();
    store.look({selected: id});
    assert.equal(store.selected.id, id);
    store.commit(model.removed(store.drawing, id));
    assert.equal(store.view.selected, null);
});

test("a drawing is never changed in place", () => {
    const id = draw();
    const before = structuredClone(store.drawing);
    const kept = store.drawing;
    draw();
    store.commit(model.changed(store.drawing, id, {name: "sky"}));
    store.commit(model.raised(store.drawing, id, 1));
    assert.deepEqual(kept, before);
    assert.deepEqual(names(), ["Region 2", "sky"]);
});

test("a document brings the drawing back without its ids", () => {
    draw();
    draw({type: "polygon", points: [[0, 0], [1, 0], [0.5, 1]]});
    const document = JSON.parse(JSON.stringify(model.toDocument(store.drawing)));
    assert.ok(document.setup.regions.every(region => !("id" in region)));
    assert.deepEqual(model.toDocument(model.fromDocument(document)), document);
});

test("storage is written when the drawing or the kept view changes, and never else", () => {
    const writes = () => localStorage.writes;
    store.subscribe((drawing, view) => autosave.save(drawing, view));
    draw();
    const first = writes();
    assert.ok(first > 0);
    for (let i = 0; i < 10; i++) store.look({});
    store.look({tool: "polygon"});
    store.look({selected: store.drawing.regions[0].id});
    assert.equal(writes(), first);
    store.look({step: 3});
    assert.equal(writes(), first + 1);
    draw();
    assert.equal(writes(), first + 2);
    assert.deepEqual(autosave.load().drawing.regions.map(region => region.name), ["Region 1", "Region 2"]);
});

test("a point of the canvas is where the screen shows it, at any zoom", () => {
    const viewport = new geometry.Viewport();
    Object.assign(viewport, {frame: {width: 800, height: 300}, canvas: {width: 2048, height: 512}});
    const under = viewport.toFraction({x: 600, y: 170});
    viewport.zoomBy(3, {x: 600, y: 170});
    const after = viewport.toFrame(under);
    assert.ok(Math.hypot(after.x - 600, after.y - 170) < 1e-9);
    assert.ok(Math.abs(viewport.board.width / viewport.board.height - 4) < 1e-9);
});
