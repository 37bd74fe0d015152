/** Messages that wait for an answer: publishes, which are sent again until they have one, and requests, which are not. */

import { quiet, type Timer } from "./clock.js";
import { own, type WsPrismError } from "./errors.js";
import type { Link } from "./link.js";
import { byteLength } from "./wire.js";

export interface Call {
  /** As it was when it was made, without its `seq`. */
  readonly encoded: string | Uint8Array;
  readonly bytes: number;
  /** Sent again after a reconnect. */
  readonly again: boolean;
  readonly resolve: (data: unknown) => void;
  readonly reject: (error: WsPrismError) => void;
  /** What it was sent under on this connection. */
  seq?: number | undefined;
}

/** In the order in which they were made. Bounded while they are not sent; each ends exactly once. */
export class Calls {
  readonly #link: Link;
  readonly #calls = new Set<Call>();
  readonly #bySeq = new Map<number, Call>();
  readonly #most: number;
  readonly #mostBytes: number;
  #unsent = 0;
  #unsentBytes = 0;

  constructor(link: Link, most: number, mostBytes: number) {
    this.#link = link;
    this.#most = most;
    this.#mostBytes = mostBytes;
  }

  /** Send `fields` now or when there is a connection. Rejects with QUEUE_FULL when too much waits, TIMEOUT in time. */
  make(fields: object, again: boolean, timeoutMs?: number): Promise<unknown> {
    return quiet(
      new Promise((resolve, reject) => {
        const given = Object.entries(fields).filter(([, value]) => value !== undefined);
        const encoded = this.#link.codec.encode(Object.fromEntries(given));
        let timer: Timer | undefined;
        const call: Call = {
          encoded,
          bytes: byteLength(encoded),
          again,
          resolve: (data) => (clearTimeout(timer), resolve(data)),
          reject: (error) => (clearTimeout(timer), reject(error)),
        };
        if (!this.#link.open) this.#checkRoom(call);
        this.#calls.add(call);
        this.#count(call, 1);
        if (this.#link.open) this.#send(call);
        if (timeoutMs !== undefined) {
          timer = setTimeout(() => this.reject(call, own("TIMEOUT", "no answer in time")), timeoutMs);
        }
      }),
    );
  }

  /** Those that have not been sent on this connection, in their order. */
  sendWaiting(): void {
    for (const call of [...this.#calls]) if (call.seq === undefined) this.#send(call);
  }

  of(seq: number | undefined): Call | undefined {
    return seq === undefined ? undefined : this.#bySeq.get(seq);
  }

  resolve(call: Call, data: unknown): void {
    if (this.#forget(call)) call.resolve(data);
  }

  reject(call: Call, error: WsPrismError): void {
    if (this.#forget(call)) call.reject(error);
  }

  /** Those that are not sent again end; the others wait. */
  lost(): void {
    for (const call of [...this.#calls]) {
      if (call.seq === undefined) continue;
      if (!call.again) this.reject(call, own("DISCONNECTED", "the connection was lost before the answer"));
      else {
        call.seq = undefined;
        this.#count(call, 1);
      }
    }
    this.#bySeq.clear();
  }

  close(error: WsPrismError): void {
    for (const call of [...this.#calls]) this.reject(call, error);
  }

  #send(call: Call): void {
    const seq = (call.seq = this.#link.nextSeq());
    this.#count(call, -1);
    this.#bySeq.set(seq, call);
    this.#link.socket?.send(this.#link.codec.withSeq(call.encoded, seq));
  }

  #checkRoom({ bytes }: Call): void {
    if (this.#unsent >= this.#most || this.#unsentBytes + bytes > this.#mostBytes) {
      throw own("QUEUE_FULL", "too much waits for a connection");
    }
  }

  #forget(call: Call): boolean {
    if (!this.#calls.delete(call)) return false;
    if (call.seq === undefined) this.#count(call, -1);
    else this.#bySeq.delete(call.seq);
    return true;
  }

  #count(call: Call, by: 1 | -1): void {
    this.#unsent += by;
    this.#unsentBytes += by * call.bytes;
  }
}
