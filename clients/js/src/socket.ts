/** One WebSocket: frames in and out, and how it ended, once. Knows no rooms and no retries. */

import { LOST, type End } from "./codes.js";
import { own } from "./errors.js";

/** What browsers, Deno, Bun, Node >= 22 and the package `ws` have in common, and what only `ws` has. */
interface AnyWebSocket {
  binaryType: string;
  readonly readyState: number;
  readonly bufferedAmount: number;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number; reason: string }) => void) | null;
  onerror: ((event: unknown) => void) | null;
  send(data: string | Uint8Array): void;
  close(code?: number): void;
  on?(event: "unexpected-response", listener: (request: Request, response: Response) => void): void;
  terminate?(): void;
}
type Request = { destroy(): void };
type Response = { statusCode: number; headers: Record<string, string | undefined>; resume(): void };

export type WebSocketClass = new (url: string, protocols: string[]) => AnyWebSocket;

const OPEN = 1;

/** Rejects with NO_WEBSOCKET where there is none. */
export async function findWebSocket(given: unknown): Promise<WebSocketClass> {
  const found = given ?? (globalThis as { WebSocket?: unknown }).WebSocket;
  if (found) return found as WebSocketClass;
  const name = "ws"; // not a literal: bundlers for browsers need not find it
  try {
    const ws = (await import(/* @vite-ignore */ /* webpackIgnore: true */ name)) as { default: unknown };
    return ws.default as WebSocketClass;
  } catch {
    throw own("NO_WEBSOCKET", "this runtime has no WebSocket: install the package ws, or give the option WebSocket");
  }
}

/** The ticket as a subprotocol: unlike the query it stands in no log, and a browser can send it. */
export function ticketProtocol(ticket: string): string {
  const raw = String.fromCharCode(...new TextEncoder().encode(ticket));
  return "ticket." + btoa(raw).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export class Socket {
  readonly #socket: AnyWebSocket;
  readonly #onEnd: (end: End) => void;
  #ended = false;

  /** May throw what the class throws. `onEnd` is called once, never after `close` or `abort`. */
  constructor(
    WebSocket: WebSocketClass,
    url: string,
    protocols: string[],
    onMessage: (raw: string | Uint8Array) => void,
    onEnd: (end: End) => void,
  ) {
    this.#onEnd = onEnd;
    const socket = (this.#socket = new WebSocket(url, protocols));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (!this.#ended) onMessage(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
    };
    socket.onerror = () => {}; // a close follows, and says more
    socket.onclose = ({ code, reason }) => this.#end({ code, reason: reason || "the connection was closed" });
    socket.on?.("unexpected-response", (request, response) => {
      const { statusCode: code, headers } = response;
      const waitMs = retryAfterMs(headers["retry-after"]);
      response.resume();
      request.destroy();
      this.#end({ code, reason: "the handshake was refused", status: true, ...(waitMs === undefined ? {} : { waitMs }) });
    });
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(data: string | Uint8Array): void {
    if (this.#socket.readyState === OPEN) this.#socket.send(data);
  }

  /** Say goodbye, and hear nothing more. */
  close(): void {
    this.#ended = true;
    this.#socket.close(1000);
  }

  /** The other side is silent: end without waiting for its goodbye. */
  abort(reason: string): void {
    if (this.#ended) return;
    const socket = this.#socket;
    if (socket.terminate) socket.terminate();
    else socket.close();
    this.#end({ code: LOST, reason });
  }

  #end(end: End): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#onEnd(end);
  }
}

function retryAfterMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
