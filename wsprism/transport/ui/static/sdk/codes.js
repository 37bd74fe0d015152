/** What the end of a connection means: come back, come back with a new ticket, or never (docs/protocol.md, Closing). */
/** The code of a connection that was lost without a goodbye. */
export const LOST = 1006;
const finalBelow4000 = new Set([1000, 1002, 1003, 1007, 1008, 1009, 1010]);
/** Before `authed`, 4502 and 4505 are explained refusals of the handshake: 401 and 403. */
export function verdict({ code, status }, authed) {
    if (status) {
        if (code === 401 || code === 403)
            return "ticket";
        return code === 408 || code === 425 || code === 429 || code >= 500 ? "reconnect" : "final";
    }
    if (!authed && (code === 4502 || code === 4505))
        return "ticket";
    return (code >= 4500 && code <= 4999) || finalBelow4000.has(code) ? "final" : "reconnect";
}
/** Full jitter: anything from 0 to a bound that doubles with each failure; `failures` counts from 0. */
export function backoffMs(failures, baseMs, capMs) {
    return Math.random() * Math.min(capMs, baseMs * 2 ** Math.min(failures, 32));
}
