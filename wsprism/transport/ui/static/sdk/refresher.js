/** Asks for a refresh in time before a ticket ends. */
import { MAX_TIMER_MS } from "./clock.js";
const MAX_LEAD_MS = 30_000;
/** A ticket that was refreshed is not refreshed again sooner. */
const MIN_REFRESHED_MS = 1000;
export class Refresher {
    #refresh;
    #timer;
    constructor(refresh) {
        this.#refresh = refresh;
    }
    /** 10 % of the ticket's life before its end, at most 30 s. `expiresAt`: seconds since 1970; `again`: it has just been refreshed. */
    plan(expiresAt, again) {
        this.stop();
        if (expiresAt === null)
            return;
        const leftMs = expiresAt * 1000 - Date.now();
        if (leftMs <= 0)
            return;
        const inMs = Math.max(leftMs - Math.min(MAX_LEAD_MS, leftMs / 10), again ? MIN_REFRESHED_MS : 0);
        const due = () => (inMs > MAX_TIMER_MS ? this.plan(expiresAt, again) : this.#refresh());
        this.#timer = setTimeout(due, Math.min(MAX_TIMER_MS, inMs));
    }
    stop() {
        clearTimeout(this.#timer);
    }
}
