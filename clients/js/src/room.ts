/** A room as a client sees it: joined now and after every reconnect, from where it stood. */

import { quiet } from "./clock.js";
import { text, whole } from "./fields.js";
import { own, type WsPrismError } from "./errors.js";
import { Emitter, type Listener } from "./events.js";
import type { HotFrame, Message } from "./wire.js";

/** A place in a room's history. */
export interface Position {
  epoch: string;
  offset: number;
}

export interface RoomOptions {
  /** Hear who comes and goes. */
  presence?: boolean;
  /** What others see of this session. */
  state?: unknown;
  /** Where you stand already. */
  since?: Position;
}

/** What the last join said. */
export interface Joined {
  epoch: string | null;
  offset: number | null;
  recovered: boolean;
  count: number | null;
  number: number | null;
  presence: unknown;
}

export interface RoomEvents {
  message: Message;
  hot: HotFrame;
  joined: Joined;
  /** A rejoin missed nothing: `count` messages follow. */
  recovered: { count: number };
  /** Messages may have been missed: load your state anew. */
  lost: { epoch: string | null; offset: number | null };
  presence: unknown;
  /** The gateway took this session out of the room. */
  left: Record<string, never>;
  error: WsPrismError;
}

export type RoomState = "joining" | "joined" | "refused" | "left";

export interface History {
  epoch: string;
  offset: number;
  items: { offset: number; time: string; svc: string; type: string; data?: unknown }[];
  more: boolean;
}

/** What a room needs of its client. @internal */
export interface RoomClient {
  publish(svc: string, type: string, data: unknown, options: { room: string; id?: string | undefined }): Promise<number | null>;
  request(svc: string, type: string, data: unknown, options: { room: string }): Promise<unknown>;
  hot(room: Room, service: number, opcode: number, payload: Uint8Array): boolean;
  leave(room: Room): void;
  fault(error: unknown): void;
}

interface Waiter<T> {
  resolve: (value: T) => void;
  reject: (error: WsPrismError) => void;
}

/** Made by `client.room`. */
export class Room {
  readonly name: string;
  readonly #client: RoomClient;
  readonly #events: Emitter<RoomEvents>;
  readonly #presence: boolean;
  #own: unknown;
  #state: RoomState = "joining";
  #since: Position | undefined;
  #number: number | undefined;
  #before: boolean;
  #last: Joined | undefined;
  #refusal: WsPrismError | undefined;
  #joinWaiters: Waiter<Joined>[] = [];
  #leaveWaiters: Waiter<void>[] = [];

  /** @internal */
  constructor(client: RoomClient, name: string, { presence = false, state, since }: RoomOptions) {
    this.name = name;
    this.#client = client;
    this.#presence = presence;
    this.#own = state;
    this.#since = since && { ...since };
    this.#before = since !== undefined;
    this.#events = new Emitter<RoomEvents>(
      ["message", "hot", "joined", "recovered", "lost", "presence", "left", "error"],
      (error) => client.fault(error),
    );
  }

  get state(): RoomState {
    return this.#state;
  }

  /** What the last join said; rejects when it is refused. */
  joined(): Promise<Joined> {
    if (this.#state === "joined") return Promise.resolve(this.#last as Joined);
    const over = this.#over();
    if (over) return quiet(Promise.reject(over));
    return quiet(new Promise((resolve, reject) => this.#joinWaiters.push({ resolve, reject })));
  }

  /** Publish, once whatever happens to the connection. The offset of the ack; null in a room without history. */
  publish(type: string, data?: unknown, { svc = "chat", id }: { svc?: string; id?: string } = {}): Promise<number | null> {
    const over = this.#over();
    if (over) return quiet(Promise.reject(over));
    return this.#client.publish(svc, type, data, { room: this.name, id });
  }

  /** Send a hot frame into this room: whether it was handed to the socket. Never queued. */
  hot(service: number, opcode: number, payload: Uint8Array = new Uint8Array()): boolean {
    return this.#client.hot(this, service, opcode, payload);
  }

  /** Leave, and join no more. */
  leave(): Promise<void> {
    if (this.#state === "left") return Promise.resolve();
    const left = new Promise<void>((resolve, reject) => this.#leaveWaiters.push({ resolve, reject }));
    this.#client.leave(this);
    return quiet(left);
  }

  /** What the room remembers. */
  history(options: { since?: Position; limit?: number; reverse?: boolean } = {}): Promise<History> {
    return this.#client.request("room", "history", options, { room: this.name }) as Promise<History>;
  }

  /** Change what others see of this session, now and after each reconnect. */
  setState(state: unknown): Promise<void> {
    this.#own = state;
    return quiet(this.#client.publish("room", "state", { state }, { room: this.name }).then(() => {}));
  }

  on<K extends keyof RoomEvents>(event: K, listener: Listener<RoomEvents[K]>): this {
    this.#events.on(event, listener);
    return this;
  }

  off<K extends keyof RoomEvents>(event: K, listener: Listener<RoomEvents[K]>): this {
    this.#events.off(event, listener);
    return this;
  }

  /** @internal */
  get number(): number | undefined {
    return this.#number;
  }

  /** Somebody waits for `left`. @internal */
  get leaving(): boolean {
    return this.#leaveWaiters.length > 0;
  }

  /** The data of its `room.join`. @internal */
  joinData(): object | undefined {
    this.#state = "joining";
    const data: Record<string, unknown> = {};
    if (this.#since) data["since"] = this.#since;
    if (this.#presence) data["presence"] = true;
    if (this.#own !== undefined) data["state"] = this.#own;
    return Object.keys(data).length > 0 ? data : undefined;
  }

  /** @internal */
  onJoined(data: Partial<Joined>): void {
    const [epoch, offset, number] = [text(data.epoch), whole(data.offset), whole(data.number)];
    const since = this.#since;
    const again = this.#before;
    let recovered = data.recovered === true;
    // What is recovered goes on from where this room stands.
    if (since) recovered &&= epoch === since.epoch && (offset === null || offset >= since.offset);
    if (!recovered || !since) this.#since = epoch === null ? undefined : { epoch, offset: offset ?? 0 };
    this.#before = true;
    this.#number = number ?? undefined;
    this.#state = "joined";
    const last = { epoch, offset, recovered, count: whole(data.count), number, presence: data.presence ?? null };
    this.#last = last;
    for (const waiter of this.#joinWaiters.splice(0)) waiter.resolve(last);
    this.#events.emit("joined", last);
    if (!again || this.state !== "joined") return; // joined for the first time, or left by a listener
    if (recovered) this.#events.emit("recovered", { count: last.count ?? 0 });
    else this.#events.emit("lost", { epoch, offset });
  }

  /** @internal */
  onRefused(error: WsPrismError): void {
    this.#state = "refused";
    this.#refusal = error;
    for (const waiter of this.#joinWaiters.splice(0)) waiter.reject(error);
    if (!this.#events.emit("error", error)) this.#client.fault(error);
  }

  /** @internal */
  onMessage(message: Message): void {
    const offset = whole(message.offset);
    if (offset !== null && this.#since) {
      if (offset <= this.#since.offset) return; // seen already
      this.#since.offset = offset;
    }
    this.#events.emit("message", message);
  }

  /** @internal */
  onGap(data: Partial<Joined>): void {
    const [epoch, offset] = [text(data.epoch), whole(data.offset)];
    if (epoch !== null) this.#since = { epoch, offset: offset ?? 0 };
    this.#events.emit("lost", { epoch, offset });
  }

  /** @internal */
  onHot(frame: HotFrame): void {
    this.#events.emit("hot", frame);
  }

  /** @internal */
  onPresence(diff: unknown): void {
    this.#events.emit("presence", diff);
  }

  /** @internal */
  onDisconnected(): void {
    if (this.#state === "joined") this.#state = "joining";
    this.#number = undefined;
  }

  /** Out of it for good: left, removed by the gateway (`told`), or the client is closed. @internal */
  onLeft(told: boolean): void {
    if (this.#state === "left") return;
    this.#state = "left";
    this.#number = undefined;
    for (const waiter of this.#leaveWaiters.splice(0)) waiter.resolve();
    for (const waiter of this.#joinWaiters.splice(0)) waiter.reject(own("CLOSED", "the room has been left"));
    if (told) this.#events.emit("left", {});
  }

  #over(): WsPrismError | undefined {
    if (this.#state === "refused") return this.#refusal;
    return this.#state === "left" ? own("CLOSED", "the room has been left") : undefined;
  }
}
