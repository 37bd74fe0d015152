/** The one error of this package. */
/** `code` is for programs, `msg` for people. */
export class WsPrismError extends Error {
    name = "WsPrismError";
    code;
    msg;
    constructor(code, msg = "") {
        super(msg ? `${code}: ${msg}` : code);
        this.code = code;
        this.msg = msg;
    }
}
/** An error of the client itself. */
export const own = (code, msg) => new WsPrismError(code, msg);
