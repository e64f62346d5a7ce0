// `text(english, values)` says a text in the page's language: `javascript/instantas_texts.js`, in the page before this.

export const text = globalThis[Symbol.for("instantas.text")];
