/** Messages that wait for an answer: publishes, which are sent again until they have one, and requests, which are not. */
import { quiet } from "./clock.js";
import { own } from "./errors.js";
import { byteLength } from "./wire.js";
/** In the order in which they were made. Bounded while they are not sent; each ends exactly once. */
export class Calls {
    #link;
    #calls = new Set();
    #bySeq = new Map();
    #most;
    #mostBytes;
    #unsent = 0;
    #unsentBytes = 0;
    constructor(link, most, mostBytes) {
        this.#link = link;
        this.#most = most;
        this.#mostBytes = mostBytes;
    }
    /** Send `fields` now or when there is a connection. Rejects with QUEUE_FULL when too much waits, TIMEOUT in time. */
    make(fields, again, timeoutMs) {
        return quiet(new Promise((resolve, reject) => {
            const given = Object.entries(fields).filter(([, value]) => value !== undefined);
            const encoded = this.#link.codec.encode(Object.fromEntries(given));
            let timer;
            const call = {
                encoded,
                bytes: byteLength(encoded),
                again,
                resolve: (data) => (clearTimeout(timer), resolve(data)),
                reject: (error) => (clearTimeout(timer), reject(error)),
            };
            if (!this.#link.open)
                this.#checkRoom(call);
            this.#calls.add(call);
            this.#count(call, 1);
            if (this.#link.open)
                this.#send(call);
            if (timeoutMs !== undefined) {
                timer = setTimeout(() => this.reject(call, own("TIMEOUT", "no answer in time")), timeoutMs);
            }
        }));
    }
    /** Those that have not been sent on this connection, in their order. */
    sendWaiting() {
        for (const call of [...this.#calls])
            if (call.seq === undefined)
                this.#send(call);
    }
    of(seq) {
        return seq === undefined ? undefined : this.#bySeq.get(seq);
    }
    resolve(call, data) {
        if (this.#forget(call))
            call.resolve(data);
    }
    reject(call, error) {
        if (this.#forget(call))
            call.reject(error);
    }
    /** Those that are not sent again end; the others wait. */
    lost() {
        for (const call of [...this.#calls]) {
            if (call.seq === undefined)
                continue;
            if (!call.again)
                this.reject(call, own("DISCONNECTED", "the connection was lost before the answer"));
            else {
                call.seq = undefined;
                this.#count(call, 1);
            }
        }
        this.#bySeq.clear();
    }
    close(error) {
        for (const call of [...this.#calls])
            this.reject(call, error);
    }
    #send(call) {
        const seq = (call.seq = this.#link.nextSeq());
        this.#count(call, -1);
        this.#bySeq.set(seq, call);
        this.#link.socket?.send(this.#link.codec.withSeq(call.encoded, seq));
    }
    #checkRoom({ bytes }) {
        if (this.#unsent >= this.#most || this.#unsentBytes + bytes > this.#mostBytes) {
            throw own("QUEUE_FULL", "too much waits for a connection");
        }
    }
    #forget(call) {
        if (!this.#calls.delete(call))
            return false;
        if (call.seq === undefined)
            this.#count(call, -1);
        else
            this.#bySeq.delete(call.seq);
        return true;
    }
    #count(call, by) {
        this.#unsent += by;
        this.#unsentBytes += by * call.bytes;
    }
}
