/** The one error of this package. */

/** Codes that are the client's own; all others are the gateway's (docs/protocol.md). */
export type ClientCode = "TIMEOUT" | "QUEUE_FULL" | "DISCONNECTED" | "CLOSED" | "NO_WEBSOCKET";

/** `code` is for programs, `msg` for people. */
export class WsPrismError extends Error {
  override readonly name = "WsPrismError";
  readonly code: string;
  readonly msg: string;

  constructor(code: string, msg = "") {
    super(msg ? `${code}: ${msg}` : code);
    this.code = code;
    this.msg = msg;
  }
}

/** An error of the client itself. */
export const own = (code: ClientCode, msg: string): WsPrismError => new WsPrismError(code, msg);
