// Takes aside what a library that is written for any kind of page would look for, or write over, while it is evaluated.
// Modules are evaluated one right after the other: no script of the page runs in between.

const NAMES = ["Konva", "module", "exports", "define"];

const found = NAMES.map(name => [name, Object.getOwnPropertyDescriptor(globalThis, name)]);
for (const name of NAMES) if (!Reflect.deleteProperty(globalThis, name)) globalThis[name] = undefined;

/** Put all back as it was found. */
export function putBack() {
    for (const [name, property] of found) {
        Reflect.deleteProperty(globalThis, name);
        if (property) Object.defineProperty(globalThis, name, property);
    }
}
