/** Silence is ended by a ping; silence behind a ping ends the connection. */
import { MAX_TIMER_MS, now } from "./clock.js";
import { SEQ_PRESENT } from "./wire.js";
export class Liveness {
    /** Of the last ping. */
    roundTripMs = null;
    #link;
    #options;
    #heardAt = 0;
    #ping;
    #timer;
    constructor(link, options) {
        this.#link = link;
        this.#options = options;
    }
    /** Look after a connection that has just been opened. */
    start() {
        this.#look();
    }
    stop() {
        this.#ping = undefined;
        clearTimeout(this.#timer);
    }
    heard() {
        this.#heardAt = now();
    }
    /** Ask now, unless it has been asked already. */
    ask() {
        if (this.#ping)
            return;
        const seq = this.#link.nextSeq();
        this.#ping = { seq, at: now() };
        this.#link.send({ v: 1, svc: "sys", type: "ping", flags: SEQ_PRESENT, seq });
        this.#look();
    }
    pong(seq) {
        if (!this.#ping || this.#ping.seq !== seq)
            return;
        this.roundTripMs = now() - this.#ping.at;
        this.#ping = undefined;
        this.#look();
    }
    #look() {
        const { pingIntervalMs, pongTimeoutMs } = this.#options;
        clearTimeout(this.#timer);
        const silentSince = this.#ping ? Math.max(this.#ping.at, this.#heardAt) : this.#heardAt;
        const leftMs = silentSince + (this.#ping ? pongTimeoutMs : pingIntervalMs) - now();
        if (leftMs > 0)
            this.#timer = setTimeout(() => this.#look(), Math.min(MAX_TIMER_MS, Math.ceil(leftMs)));
        else if (this.#ping)
            this.#link.socket?.abort("no answer to a ping");
        else
            this.ask();
    }
}
