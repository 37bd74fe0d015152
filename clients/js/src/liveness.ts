/** Silence is ended by a ping; silence behind a ping ends the connection. */

import { MAX_TIMER_MS, now, type Timer } from "./clock.js";
import type { Link } from "./link.js";
import type { Options } from "./options.js";
import { SEQ_PRESENT } from "./wire.js";

export class Liveness {
  /** Of the last ping. */
  roundTripMs: number | null = null;
  readonly #link: Link;
  readonly #options: Options;
  #heardAt = 0;
  #ping: { seq: number; at: number } | undefined;
  #timer: Timer | undefined;

  constructor(link: Link, options: Options) {
    this.#link = link;
    this.#options = options;
  }

  /** Look after a connection that has just been opened. */
  start(): void {
    this.#look();
  }

  stop(): void {
    this.#ping = undefined;
    clearTimeout(this.#timer);
  }

  heard(): void {
    this.#heardAt = now();
  }

  /** Ask now, unless it has been asked already. */
  ask(): void {
    if (this.#ping) return;
    const seq = this.#link.nextSeq();
    this.#ping = { seq, at: now() };
    this.#link.send({ v: 1, svc: "sys", type: "ping", flags: SEQ_PRESENT, seq });
    this.#look();
  }

  pong(seq: unknown): void {
    if (!this.#ping || this.#ping.seq !== seq) return;
    this.roundTripMs = now() - this.#ping.at;
    this.#ping = undefined;
    this.#look();
  }

  #look(): void {
    const { pingIntervalMs, pongTimeoutMs } = this.#options;
    clearTimeout(this.#timer);
    const silentSince = this.#ping ? Math.max(this.#ping.at, this.#heardAt) : this.#heardAt;
    const leftMs = silentSince + (this.#ping ? pongTimeoutMs : pingIntervalMs) - now();
    if (leftMs > 0) this.#timer = setTimeout(() => this.#look(), Math.min(MAX_TIMER_MS, Math.ceil(leftMs)));
    else if (this.#ping) this.#link.socket?.abort("no answer to a ping");
    else this.ask();
  }
}
