"use strict";

// Questions to the Python side. They travel through a hidden Gradio event of the tab, so that logins, queues and
// reverse proxies treat them like any other use of the page. One is under way at a time.
(function (editor) {
    const PATIENCE = 20000;
    /** After so long a press of the button that Gradio did not take up is made again. */
    const AGAIN = 1500;

    class Server {
        constructor() {
            this.waiting = [];
            this.current = null;
            this.lastId = 0;
        }

        /** The result, or an Error with the server's message. */
        ask(method, params = {}) {
            return new Promise((resolve, reject) => {
                this.waiting.push({id: ++this.lastId, method, params, resolve, reject});
                this.next();
            });
        }

        next() {
            if (this.current || !this.waiting.length) return;
            const request = this.current = this.waiting.shift();
            request.timer = setTimeout(() => this.finish(r => r.reject(new Error("The server does not answer."))), PATIENCE);
            this.press(request);
        }

        press(request) {
            if (request !== this.current || request.taken) return;
            document.getElementById("instantas_editor_ask").click();
            setTimeout(() => this.press(request), AGAIN);
        }

        /** Called by the Gradio event: the request's text. */
        request() {
            if (!this.current) return "";
            this.current.taken = true;
            const {id, method, params} = this.current;
            return JSON.stringify({id, method, params});
        }

        /** Called by the Gradio event with the answer's text. */
        receive(text) {
            const answer = JSON.parse(text || "{}");
            if (!this.current || answer.id !== this.current.id) return;
            if ("error" in answer) this.finish(r => r.reject(new Error(answer.error)));
            else this.finish(r => r.resolve(answer.result));
        }

        finish(settle) {
            const request = this.current;
            clearTimeout(request.timer);
            this.current = null;
            settle(request);
            this.next();
        }
    }

    editor.Server = Server;
})(globalThis.instantasEditor ??= {});
