/** The rooms of a client: their joins and leaves on the present connection, and which room a hot frame goes to. */

import type { Timer } from "./clock.js";
import type { WsPrismError } from "./errors.js";
import type { Link } from "./link.js";
import type { Options } from "./options.js";
import type { Joined, Room } from "./room.js";
import { encodeHot, SEQ_PRESENT, type HotFrame } from "./wire.js";

/** Joins that were refused for now. */
const passing = new Set(["RATE_LIMITED", "UNAVAILABLE", "TIMEOUT", "INTERNAL"]);

export class Rooms {
  /** Hot frames that were dropped before sending. */
  droppedHot = 0;
  readonly #link: Link;
  readonly #options: Options;
  readonly #rooms = new Map<string, Room>();
  readonly #joins = new Map<number, Room>();
  readonly #leaves = new Map<number, Room>();
  /** Names in the order of their joins: the gateway's active room is the last. */
  readonly #order = new Set<string>();
  readonly #timers = new Set<Timer>();

  constructor(link: Link, options: Options) {
    this.#link = link;
    this.#options = options;
  }

  get(name: unknown): Room | undefined {
    return this.#rooms.get(name as string);
  }

  /** Joined now, or when there is a connection; in the place of one that is being left. */
  add(room: Room): void {
    const known = this.#rooms.get(room.name);
    if (known) this.#forget(known);
    this.#rooms.set(room.name, room);
    if (this.#link.open) this.#join(room);
  }

  joinAll(): void {
    for (const room of this.#rooms.values()) if (room.state === "joining") this.#join(room);
  }

  leave(room: Room): void {
    if (!this.#link.open || room.state === "refused") return this.#forget(room);
    const seq = this.#link.nextSeq();
    this.#leaves.set(seq, room);
    this.#link.send({ v: 1, svc: "room", type: "leave", flags: SEQ_PRESENT, seq, room: room.name });
  }

  /** Whether it was handed to the socket. */
  sendHot(room: Room, service: number, opcode: number, payload: Uint8Array): boolean {
    const { socket, open } = this.#link;
    const number = this.#rooms.size > 1 ? room.number : undefined;
    const frame = encodeHot(service, opcode, payload, number);
    const goesThere = number !== undefined || [...this.#order].at(-1) === room.name;
    const ready = open && room.state === "joined" && goesThere;
    if (!socket || !ready || socket.bufferedBytes > this.#options.hotBufferedBytes) {
      this.droppedHot += 1;
      return false;
    }
    socket.send(frame);
    return true;
  }

  lost(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#joins.clear();
    this.#leaves.clear();
    this.#order.clear();
    for (const room of [...this.#rooms.values()]) {
      if (room.leaving) this.#forget(room);
      else room.onDisconnected();
    }
  }

  close(): void {
    const rooms = [...this.#rooms.values()];
    this.#rooms.clear();
    for (const room of rooms) room.onLeft(false);
  }

  // What the gateway says

  onJoined(seq: unknown, name: unknown, data: Partial<Joined>): void {
    this.#joins.delete(seq as number);
    this.get(name)?.onJoined(data);
  }

  onLeft(seq: unknown, name: unknown): void {
    const left = take(this.#leaves, seq);
    const room = this.get(name);
    if (left) this.#forget(left);
    else if (room) this.#forget(room, !room.leaving);
  }

  /** Whether it was the answer to a join or a leave. `waitMs`: not sooner again. */
  onError(seq: unknown, error: WsPrismError, waitMs: number): boolean {
    const join = take(this.#joins, seq);
    const leave = take(this.#leaves, seq);
    if (join && passing.has(error.code)) this.#joinLater(join, waitMs);
    else if (join) {
      if (this.#rooms.get(join.name) === join) this.#order.delete(join.name);
      join.onRefused(error);
    } else if (leave) this.#forget(leave);
    return join !== undefined || leave !== undefined;
  }

  /** Tells the room that the frame is of; whether it names one of these. */
  onHot(frame: HotFrame, number: number | undefined): boolean {
    const rooms = [...this.#rooms.values()];
    const named = number === undefined ? undefined : rooms.find((each) => each.number === number);
    if (named) named.onHot({ ...frame, room: named.name });
    else if (number === undefined && rooms.length === 1) rooms[0]?.onHot(frame);
    return named !== undefined;
  }

  #join(room: Room): void {
    const seq = this.#link.nextSeq();
    const data = room.joinData();
    this.#joins.set(seq, room);
    this.#order.delete(room.name);
    this.#order.add(room.name);
    this.#link.send({ v: 1, svc: "room", type: "join", flags: SEQ_PRESENT, seq, room: room.name, ...(data && { data }) });
  }

  /** It was refused for now. */
  #joinLater(room: Room, waitMs: number): void {
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        if (this.#rooms.get(room.name) === room && room.state === "joining") this.#join(room);
      },
      waitMs + this.#options.backoffBaseMs * (0.5 + Math.random()),
    );
    this.#timers.add(timer);
  }

  #forget(room: Room, told = false): void {
    if (this.#rooms.get(room.name) === room) {
      this.#rooms.delete(room.name);
      this.#order.delete(room.name);
    }
    room.onLeft(told);
  }
}

function take(rooms: Map<number, Room>, seq: unknown): Room | undefined {
  const room = rooms.get(seq as number);
  rooms.delete(seq as number);
  return room;
}
