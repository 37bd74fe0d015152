/** One connection after the other: when there is one, why it ended, and when the next attempt is. */

import { MAX_TIMER_MS, now, type Timer } from "./clock.js";
import { backoffMs, LOST, verdict, type End } from "./codes.js";
import { own, type WsPrismError } from "./errors.js";
import type { Link } from "./link.js";
import { address, askTicket, type Options } from "./options.js";
import { findWebSocket, Socket, ticketProtocol } from "./socket.js";
import type { ClientEvents, Reason, Session, State } from "./state.js";

/** Who is told. */
export interface Watcher {
  received(raw: string | Uint8Array): void;
  /** Let in: what must be sent first is sent now. */
  opened(session: Session): void;
  lost(): void;
  /** Lost, and for good. */
  closed(error: WsPrismError): void;
  moved(told: ClientEvents["state"]): void;
  /** An open connection may have died unseen. */
  woken(): void;
}

export class Life {
  state: State = "idle";
  reason: Reason | null = null;
  nextAttemptAt: number | null = null;
  session: Session | null = null;
  readonly #url: string;
  readonly #options: Options;
  readonly #link: Link;
  readonly #watcher: Watcher;
  #fatal: WsPrismError | undefined;
  #sid: string | undefined;
  #failures = 0;
  #askedAgain = false;
  #openedAt: number | undefined;
  /** When a drain wants it back. */
  #comeBackAt: number | undefined;
  /** The last connection was drained, and none has been healthy since. */
  #drained = false;
  #refusal: { waitMs: number; reason: string } | undefined;
  #waitIsOurs = false;
  #timer: Timer | undefined;

  constructor(url: string, options: Options, link: Link, watcher: Watcher) {
    address(url, options, undefined);
    this.#url = url;
    this.#options = options;
    this.#sid = options.sid;
    this.#link = link;
    this.#watcher = watcher;
  }

  /** Throws CLOSED when it is over. */
  start(): void {
    if (this.state === "closed") throw this.closedError();
    if (this.state !== "idle") return;
    const page = globalThis as { addEventListener?: typeof addEventListener };
    page.addEventListener?.("online", this.#wake);
    if (typeof document !== "undefined") document.addEventListener("visibilitychange", this.#wake);
    void this.#attempt();
  }

  close(): void {
    if (this.state === "closed") return;
    this.#link.socket?.close();
    this.#close({ code: 1000, reason: "closed by the client" });
  }

  closedError(): WsPrismError {
    return this.#fatal ?? own("CLOSED", `the client is closed: ${this.reason?.code} ${this.reason?.reason}`);
  }

  // What the gateway says

  authed(session: Session): void {
    this.session = session;
    this.#sid = session.sid || this.#sid;
    this.#openedAt = now();
    clearTimeout(this.#timer);
    this.#watcher.opened(session);
    this.#link.open = true;
    this.#move("open");
  }

  /** Why it will close the connection, before it has let the client in. */
  refused(reason: string, waitMs: number): void {
    this.#refusal = { waitMs, reason };
  }

  draining(reconnectAfterMs: number): void {
    this.#comeBackAt = now() + reconnectAfterMs;
  }

  async #attempt(): Promise<void> {
    this.nextAttemptAt = null;
    this.#openedAt = undefined;
    this.#refusal = undefined;
    this.#move("connecting");
    if (!this.#connecting()) return; // a listener closed it
    const options = this.#options;
    let ticket, WebSocket;
    try {
      WebSocket = await findWebSocket(options.WebSocket);
    } catch (error) {
      if (this.#connecting()) this.#close({ code: LOST, reason: (error as WsPrismError).msg }, error as WsPrismError);
      return;
    }
    if (!this.#connecting()) return;
    try {
      ticket = await askTicket(options);
    } catch (error) {
      if (this.#connecting()) this.#ended({ code: LOST, reason: `no ticket: ${String(error)}` });
      return;
    }
    if (!this.#connecting()) return;
    try {
      const socket: Socket = new Socket(
        WebSocket,
        address(this.#url, options, this.#sid),
        [this.#link.codec.subprotocol, ticketProtocol(ticket)],
        (raw) => this.#watcher.received(raw),
        (end) => this.#ended(end),
      );
      this.#link.socket = socket;
      this.#timer = setTimeout(() => socket.abort("no answer to the handshake in time"), options.connectTimeoutMs);
    } catch (error) {
      this.#ended({ code: LOST, reason: String(error) });
    }
  }

  /** Still wanted, after something was waited for. */
  #connecting(): boolean {
    return this.state === "connecting";
  }

  #ended(end: End): void {
    const opened = this.#openedAt;
    const refused = this.#refusal;
    this.#leave();
    this.#watcher.lost();
    if (opened !== undefined) {
      this.#askedAgain = false;
      if (now() - opened >= this.#options.backoffResetMs) {
        this.#failures = 0;
        this.#drained = false;
      }
    }
    const what = verdict(end, opened !== undefined);
    const mayAsk = typeof this.#options.ticket === "function" && !this.#askedAgain;
    if (what === "final" || (what === "ticket" && !mayAsk)) {
      this.#close({ code: end.code, reason: refused?.reason ?? end.reason });
      return;
    }
    if (what === "ticket") this.#askedAgain = true;
    this.#wait(Math.max(end.waitMs ?? 0, refused?.waitMs ?? 0));
  }

  /** Full jitter, never before the gateway wants it, and to the moment that a drain named: the first one. */
  #wait(askedMs: number): void {
    const { backoffBaseMs, backoffCapMs } = this.#options;
    let waitMs = Math.max(askedMs, backoffMs(this.#failures++, backoffBaseMs, backoffCapMs));
    this.#waitIsOurs = askedMs === 0 && this.#comeBackAt === undefined;
    if (this.#comeBackAt !== undefined) {
      waitMs = Math.max(this.#comeBackAt - now(), this.#drained ? waitMs : 0);
      this.#drained = true;
    }
    this.#comeBackAt = undefined;
    this.nextAttemptAt = Date.now() + waitMs;
    this.#later(now() + waitMs);
    this.#move("waiting");
  }

  /** The next attempt, not before `at`: a timer may be early by a part of a millisecond, and cannot be very long. */
  #later(at: number): void {
    this.#timer = setTimeout(
      () => (now() < at ? this.#later(at) : void this.#attempt()),
      Math.min(MAX_TIMER_MS, Math.max(0, Math.ceil(at - now()))),
    );
  }

  /** The network or the person is back: no need to wait on, unless the gateway wants it. */
  readonly #wake = (): void => {
    if (typeof document !== "undefined" && document.visibilityState === "hidden") return;
    if (this.state === "waiting" && this.#waitIsOurs) {
      clearTimeout(this.#timer);
      void this.#attempt();
    } else if (this.state === "open") this.#watcher.woken();
  };

  #leave(): void {
    this.#link.lost();
    this.session = null;
    clearTimeout(this.#timer);
  }

  #close(reason: Reason, error?: WsPrismError): void {
    this.reason = reason;
    this.#fatal = error;
    this.nextAttemptAt = null;
    const page = globalThis as { removeEventListener?: typeof removeEventListener };
    page.removeEventListener?.("online", this.#wake);
    if (typeof document !== "undefined") document.removeEventListener("visibilitychange", this.#wake);
    this.state = "closed";
    this.#leave();
    this.#watcher.closed(this.closedError());
    this.#watcher.moved({ state: "closed", reason });
  }

  #move(state: "connecting" | "open" | "waiting"): void {
    this.state = state;
    const at = this.nextAttemptAt;
    this.#watcher.moved(at === null ? { state } : { state, nextAttemptAt: at });
  }
}
