/** What an application sees: a client, put together from its parts. */
import { Calls } from "./calls.js";
import { quiet } from "./clock.js";
import { WsPrismError } from "./errors.js";
import { Emitter } from "./events.js";
import { whole } from "./fields.js";
import { receive } from "./incoming.js";
import { Life } from "./life.js";
import { Link } from "./link.js";
import { Liveness } from "./liveness.js";
import { askTicket, complete } from "./options.js";
import { Refresher } from "./refresher.js";
import { Room } from "./room.js";
import { Rooms } from "./rooms.js";
import { ACK_REQUESTED, Codec, SEQ_PRESENT } from "./wire.js";
/** See docs/clients.md. Nothing happens before `connect`, `room`, `publish`, `request` or `refresh` is called. */
export class Client {
    #options;
    #first = new First();
    #parts;
    #forRooms;
    constructor(url, given) {
        const options = (this.#options = complete(given));
        const link = new Link(new Codec(options.format));
        const fault = (error) => {
            const write = (what) => console.error("wsprism-client:", what);
            if (!events.emit("error", error, write))
                write(error);
        };
        const events = new Emitter(["state", "message", "hot", "error", "draining", "degraded"], fault);
        const calls = new Calls(link, options.queueMessages, options.queueBytes);
        const rooms = new Rooms(link, options);
        const liveness = new Liveness(link, options);
        const refresher = new Refresher(() => {
            this.refresh().catch((error) => link.open && fault(error));
        });
        /** A ticket that is a string has no next one. */
        const expires = (at, again) => refresher.plan(typeof options.ticket === "string" ? null : at, again);
        const lost = () => {
            liveness.stop();
            refresher.stop();
            calls.lost();
            rooms.lost();
        };
        const life = new Life(url, options, link, {
            received: (raw) => receive(this.#parts, raw),
            opened: (session) => {
                liveness.start();
                expires(session.expiresAt, false);
                rooms.joinAll();
                calls.sendWaiting();
                this.#first.resolve();
            },
            lost,
            closed: (error) => {
                calls.close(error);
                lost();
                rooms.close();
                this.#first.reject(error);
            },
            moved: (told) => void events.emit("state", told),
            woken: () => liveness.ask(),
        });
        this.#parts = { link, life, calls, rooms, liveness, events, expires, fault };
        this.#forRooms = {
            publish: this.publish.bind(this),
            request: this.request.bind(this),
            hot: rooms.sendHot.bind(rooms),
            leave: rooms.leave.bind(rooms),
            fault,
        };
    }
    get state() {
        return this.#parts.life.state;
    }
    /** While waiting: when it tries again, as `Date.now()`. */
    get nextAttemptAt() {
        return this.#parts.life.nextAttemptAt;
    }
    /** Why it is closed. */
    get reason() {
        return this.#parts.life.reason;
    }
    get session() {
        return this.#parts.life.session;
    }
    /** Of the last ping. */
    get roundTripMs() {
        return this.#parts.liveness.roundTripMs;
    }
    /** Hot frames that were dropped before sending. */
    get droppedHot() {
        return this.#parts.rooms.droppedHot;
    }
    /** Start; resolves when it is open for the first time, rejects when it is closed for good. */
    connect() {
        const { life } = this.#parts;
        if (life.state === "closed")
            return quiet(Promise.reject(life.closedError()));
        life.start();
        return this.#first.promise;
    }
    /** Close with 1000; everything that waits rejects with CLOSED. */
    close() {
        this.#parts.life.close();
        return Promise.resolve();
    }
    /** The room of this name: the same object until it is left. Throws CLOSED when the client is. */
    room(name, options = {}) {
        const { life, rooms } = this.#parts;
        const known = rooms.get(name);
        if (known && !known.leaving)
            return known;
        life.start();
        const room = new Room(this.#forRooms, name, options);
        rooms.add(room);
        return room;
    }
    /** Any ext message, acknowledged; sent again with the same id until it is. The ack's offset, or null. */
    publish(svc, type, data, { room, id = makeId() } = {}) {
        const answer = this.#call({ v: 1, svc, type, flags: SEQ_PRESENT | ACK_REQUESTED, id, room, data }, true);
        return quiet(answer.then((ack) => whole(ack?.offset)));
    }
    /** The data of the first message that repeats its seq. Not sent again: DISCONNECTED when the connection goes. */
    request(svc, type, data, { room, timeoutMs = this.#options.requestTimeoutMs } = {}) {
        return this.#call({ v: 1, svc, type, flags: SEQ_PRESENT, room, data }, false, timeoutMs);
    }
    /** Ask the ticket function, and live on with the new ticket. */
    refresh() {
        const refreshed = askTicket(this.#options).then((ticket) => this.request("sys", "refresh", { ticket }), (error) => Promise.reject(new WsPrismError("AUTH_FAILED", `no new ticket: ${String(error)}`)));
        return quiet(refreshed.then(() => { }));
    }
    on(event, listener) {
        this.#parts.events.on(event, listener);
        return this;
    }
    off(event, listener) {
        this.#parts.events.off(event, listener);
        return this;
    }
    #call(fields, again, timeoutMs) {
        try {
            this.#parts.life.start();
        }
        catch (error) {
            return quiet(Promise.reject(error));
        }
        return this.#parts.calls.make(fields, again, timeoutMs);
    }
}
/** Open for the first time, or closed for good before that. */
class First {
    resolve;
    reject;
    promise = quiet(new Promise((resolve, reject) => {
        this.resolve = resolve;
        this.reject = reject;
    }));
}
/** An id for a publication that has none. */
const makeId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
