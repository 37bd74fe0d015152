/** One WebSocket: frames in and out, and how it ended, once. Knows no rooms and no retries. */
import { LOST } from "./codes.js";
import { own } from "./errors.js";
const OPEN = 1;
/** Rejects with NO_WEBSOCKET where there is none. */
export async function findWebSocket(given) {
    const found = given ?? globalThis.WebSocket;
    if (found)
        return found;
    const name = "ws"; // not a literal: bundlers for browsers need not find it
    try {
        const ws = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name));
        return ws.default;
    }
    catch {
        throw own("NO_WEBSOCKET", "this runtime has no WebSocket: install the package ws, or give the option WebSocket");
    }
}
/** The ticket as a subprotocol: unlike the query it stands in no log, and a browser can send it. */
export function ticketProtocol(ticket) {
    const raw = String.fromCharCode(...new TextEncoder().encode(ticket));
    return "ticket." + btoa(raw).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
export class Socket {
    #socket;
    #onEnd;
    #ended = false;
    /** May throw what the class throws. `onEnd` is called once, never after `close` or `abort`. */
    constructor(WebSocket, url, protocols, onMessage, onEnd) {
        this.#onEnd = onEnd;
        const socket = (this.#socket = new WebSocket(url, protocols));
        socket.binaryType = "arraybuffer";
        socket.onmessage = ({ data }) => {
            if (!this.#ended)
                onMessage(typeof data === "string" ? data : new Uint8Array(data));
        };
        socket.onerror = () => { }; // a close follows, and says more
        socket.onclose = ({ code, reason }) => this.#end({ code, reason: reason || "the connection was closed" });
        socket.on?.("unexpected-response", (request, response) => {
            const { statusCode: code, headers } = response;
            const waitMs = retryAfterMs(headers["retry-after"]);
            response.resume();
            request.destroy();
            this.#end({ code, reason: "the handshake was refused", status: true, ...(waitMs === undefined ? {} : { waitMs }) });
        });
    }
    get bufferedBytes() {
        return this.#socket.bufferedAmount;
    }
    send(data) {
        if (this.#socket.readyState === OPEN)
            this.#socket.send(data);
    }
    /** Say goodbye, and hear nothing more. */
    close() {
        this.#ended = true;
        this.#socket.close(1000);
    }
    /** The other side is silent: end without waiting for its goodbye. */
    abort(reason) {
        if (this.#ended)
            return;
        const socket = this.#socket;
        if (socket.terminate)
            socket.terminate();
        else
            socket.close();
        this.#end({ code: LOST, reason });
    }
    #end(end) {
        if (this.#ended)
            return;
        this.#ended = true;
        this.#onEnd(end);
    }
}
function retryAfterMs(text) {
    if (text === undefined)
        return undefined;
    const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now();
    return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
