/** Messages that wait for an answer: publishes, which are sent again until they have one, and requests, which are not. */
import { own } from "./errors.js";
/** In the order in which they were made. Bounded while they are not sent; each ends exactly once. */
export class Calls {
    #calls = new Set();
    #bySeq = new Map();
    #most;
    #mostBytes;
    #unsent = 0;
    #unsentBytes = 0;
    constructor(most, mostBytes) {
        this.#most = most;
        this.#mostBytes = mostBytes;
    }
    /** It waits to be sent. Throws QUEUE_FULL when too much waits already. */
    wait(call) {
        if (this.#unsent >= this.#most || this.#unsentBytes + call.bytes > this.#mostBytes) {
            throw own("QUEUE_FULL", "too much waits for a connection");
        }
        this.#calls.add(call);
        this.#count(call, 1);
    }
    /** It is handed to the socket under `seq`. */
    sent(call, seq) {
        if (this.#calls.has(call))
            this.#count(call, -1);
        this.#calls.add(call);
        call.seq = seq;
        this.#bySeq.set(seq, call);
    }
    /** Those that have not been sent on this connection, in their order. */
    unsent() {
        return [...this.#calls].filter((call) => call.seq === undefined);
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
    disconnected() {
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
