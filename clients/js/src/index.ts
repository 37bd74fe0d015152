/** A client for wsPrism gateways: see README.md. */

export { Client } from "./client.js";
export { WsPrismError, type ClientCode } from "./errors.js";
export type { Listener } from "./events.js";
export type { ClientOptions, Ticket } from "./options.js";
export type { History, Joined, Position, Room, RoomEvents, RoomOptions, RoomState } from "./room.js";
export type { ClientEvents, Reason, Session, State } from "./state.js";
export type { HotFrame, Message } from "./wire.js";
