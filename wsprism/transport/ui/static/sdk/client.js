/** The client: one connection at a time, come back to whenever it is lost, with its rooms and what waits for an answer. */
import { Calls } from "./calls.js";
import { backoffMs, LOST, verdict } from "./codes.js";
import { own, WsPrismError } from "./errors.js";
import { Emitter } from "./events.js";
import { address, askTicket, complete } from "./options.js";
import { quiet, Room } from "./room.js";
import { findWebSocket, Socket, ticketProtocol } from "./socket.js";
import { ACK_REQUESTED, Codec, encodeHot, SEQ_PRESENT } from "./wire.js";
/** Joins that were refused for now. */
const passing = new Set(["RATE_LIMITED", "UNAVAILABLE", "TIMEOUT", "INTERNAL"]);
const MAX_REFRESH_LEAD_MS = 30_000;
const MAX_TIMER_MS = 2 ** 31 - 1;
/** See docs/clients.md. Nothing happens before `connect`, `room`, `publish`, `request` or `refresh` is called. */
export class Client {
    #url;
    #options;
    #codec;
    #calls;
    #events;
    #rooms = new Map();
    #joins = new Map();
    #leaves = new Map();
    /** Names in the order of their joins: the gateway's active room is the last. */
    #joinOrder = new Set();
    #first;
    #state = "idle";
    #reason = null;
    #fatal;
    #session = null;
    #sid;
    #nextAttemptAt = null;
    #roundTripMs = null;
    #droppedHot = 0;
    #socket;
    #seq = 0;
    #failures = 0;
    #askedAgain = false;
    #openedAt;
    #heardAt = 0;
    #ping;
    /** When a drain wants it back. */
    #comeBackAt;
    #refusal;
    #waitIsOurs = false;
    #attemptTimer;
    #liveTimer;
    #refreshTimer;
    #joinTimers = new Set();
    constructor(url, options) {
        this.#options = complete(options);
        this.#sid = options.sid;
        this.#url = url;
        address(url, this.#options, undefined);
        this.#codec = new Codec(this.#options.format);
        this.#calls = new Calls(this.#options.queueMessages, this.#options.queueBytes);
        this.#events = new Emitter(["state", "message", "hot", "error", "draining"], (error) => this.#fault(error));
        this.#first = new First();
    }
    get state() {
        return this.#state;
    }
    /** While waiting: when it tries again, as `Date.now()`. */
    get nextAttemptAt() {
        return this.#nextAttemptAt;
    }
    /** Why it is closed. */
    get reason() {
        return this.#reason;
    }
    get session() {
        return this.#session;
    }
    /** Of the last ping. */
    get roundTripMs() {
        return this.#roundTripMs;
    }
    /** Hot frames that were dropped before sending. */
    get droppedHot() {
        return this.#droppedHot;
    }
    /** Start; resolves when it is open for the first time, rejects when it is closed for good. */
    connect() {
        if (this.#state === "closed")
            return quiet(Promise.reject(this.#closedError()));
        this.#start();
        return this.#first.promise;
    }
    /** Close with 1000; everything that waits rejects with CLOSED. */
    close() {
        if (this.#state !== "closed") {
            this.#socket?.close();
            this.#socket = undefined;
            this.#close({ code: 1000, reason: "closed by the client" });
        }
        return Promise.resolve();
    }
    /** The room of this name: the same object until it is left. Throws CLOSED when the client is. */
    room(name, options = {}) {
        const known = this.#rooms.get(name);
        if (known && !known.leaving)
            return known;
        this.#start();
        if (known)
            this.#forget(known);
        const client = {
            publish: this.publish.bind(this),
            request: this.request.bind(this),
            hot: this.#hot.bind(this),
            leave: this.#leave.bind(this),
            fault: this.#fault.bind(this),
        };
        const room = new Room(client, name, options);
        this.#rooms.set(name, room);
        if (this.#state === "open")
            this.#join(room);
        return room;
    }
    /** Any ext message, acknowledged; sent again with the same id until it is. The ack's offset, or null. */
    publish(svc, type, data, { room, id = makeId() } = {}) {
        const answer = this.#call({ v: 1, svc, type, flags: SEQ_PRESENT | ACK_REQUESTED, id, room, data }, true);
        return quiet(answer.then((ack) => ack?.offset ?? null));
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
        this.#events.on(event, listener);
        return this;
    }
    off(event, listener) {
        this.#events.off(event, listener);
        return this;
    }
    // Life
    #start() {
        if (this.#state === "closed")
            throw this.#closedError();
        if (this.#state !== "idle")
            return;
        const page = globalThis;
        page.addEventListener?.("online", this.#wake);
        if (typeof document !== "undefined")
            document.addEventListener("visibilitychange", this.#wake);
        void this.#attempt();
    }
    async #attempt() {
        this.#nextAttemptAt = null;
        this.#openedAt = undefined;
        this.#refusal = undefined;
        this.#move("connecting");
        if (this.#state !== "connecting")
            return; // a listener closed it
        const options = this.#options;
        let ticket, WebSocket;
        try {
            WebSocket = await findWebSocket(options.WebSocket);
        }
        catch (error) {
            if (this.#connecting())
                this.#close({ code: LOST, reason: error.msg }, error);
            return;
        }
        if (!this.#connecting())
            return;
        try {
            ticket = await askTicket(options);
        }
        catch (error) {
            if (this.#connecting())
                this.#ended({ code: LOST, reason: `no ticket: ${String(error)}` });
            return;
        }
        if (!this.#connecting())
            return;
        try {
            const socket = new Socket(WebSocket, address(this.#url, options, this.#sid), [this.#codec.subprotocol, ticketProtocol(ticket)], (raw) => this.#received(raw), (end) => this.#ended(end));
            this.#socket = socket;
            this.#liveTimer = setTimeout(() => socket.abort("no answer to the handshake in time"), options.connectTimeoutMs);
        }
        catch (error) {
            this.#ended({ code: LOST, reason: String(error) });
        }
    }
    /** Still wanted, after something was waited for. */
    #connecting() {
        return this.#state === "connecting";
    }
    #ended(end) {
        const opened = this.#openedAt;
        const refused = this.#refusal;
        this.#disconnected();
        if (opened !== undefined) {
            this.#askedAgain = false;
            if (now() - opened >= this.#options.backoffResetMs)
                this.#failures = 0;
        }
        const what = verdict(end, opened !== undefined);
        const mayAsk = typeof this.#options.ticket === "function" && !this.#askedAgain;
        if (what === "final" || (what === "ticket" && !mayAsk)) {
            this.#close({ code: end.code, reason: refused?.reason ?? end.reason });
            return;
        }
        if (what === "ticket")
            this.#askedAgain = true;
        const { backoffBaseMs, backoffCapMs } = this.#options;
        let waitMs = backoffMs(this.#failures++, backoffBaseMs, backoffCapMs);
        const askedMs = Math.max(end.waitMs ?? 0, refused?.waitMs ?? 0);
        this.#waitIsOurs = askedMs === 0 && this.#comeBackAt === undefined;
        if (this.#comeBackAt !== undefined)
            waitMs = Math.max(0, this.#comeBackAt - now());
        else
            waitMs = Math.max(waitMs, askedMs);
        this.#comeBackAt = undefined;
        this.#nextAttemptAt = Date.now() + waitMs;
        this.#later(now() + waitMs);
        this.#move("waiting");
    }
    /** The next attempt, not before `at`: a timer may be early by a part of a millisecond, and cannot be very long. */
    #later(at) {
        this.#attemptTimer = setTimeout(() => (now() < at ? this.#later(at) : void this.#attempt()), Math.min(MAX_TIMER_MS, Math.max(0, Math.ceil(at - now()))));
    }
    /** The network or the person is back: no need to wait on, unless the gateway wants it. */
    #wake = () => {
        if (typeof document !== "undefined" && document.visibilityState === "hidden")
            return;
        if (this.#state === "waiting" && this.#waitIsOurs) {
            clearTimeout(this.#attemptTimer);
            void this.#attempt();
        }
        else if (this.#state === "open" && !this.#ping)
            this.#sendPing();
    };
    #disconnected() {
        this.#socket = undefined;
        this.#session = null;
        this.#ping = undefined;
        clearTimeout(this.#attemptTimer);
        clearTimeout(this.#liveTimer);
        clearTimeout(this.#refreshTimer);
        for (const timer of this.#joinTimers)
            clearTimeout(timer);
        this.#joinTimers.clear();
        this.#joins.clear();
        this.#leaves.clear();
        this.#joinOrder.clear();
        this.#calls.disconnected();
        for (const room of [...this.#rooms.values()]) {
            if (room.leaving)
                this.#forget(room);
            else
                room.onDisconnected();
        }
    }
    #close(reason, error) {
        this.#reason = reason;
        this.#fatal = error;
        this.#nextAttemptAt = null;
        const page = globalThis;
        page.removeEventListener?.("online", this.#wake);
        if (typeof document !== "undefined")
            document.removeEventListener("visibilitychange", this.#wake);
        this.#state = "closed";
        const closed = this.#closedError();
        this.#calls.close(closed);
        this.#disconnected();
        for (const room of this.#rooms.values())
            room.onLeft(false);
        this.#rooms.clear();
        this.#first.reject(closed);
        this.#events.emit("state", { state: "closed", reason });
    }
    #closedError() {
        return this.#fatal ?? own("CLOSED", `the client is closed: ${this.#reason?.code} ${this.#reason?.reason}`);
    }
    #move(state) {
        this.#state = state;
        const at = this.#nextAttemptAt;
        this.#events.emit("state", at === null ? { state } : { state, nextAttemptAt: at });
    }
    /** Silence is ended by a ping; silence behind a ping ends the connection. */
    #live() {
        const { pingIntervalMs, pongTimeoutMs } = this.#options;
        clearTimeout(this.#liveTimer);
        const silentSince = this.#ping ? Math.max(this.#ping.at, this.#heardAt) : this.#heardAt;
        const leftMs = silentSince + (this.#ping ? pongTimeoutMs : pingIntervalMs) - now();
        if (leftMs > 0)
            this.#liveTimer = setTimeout(() => this.#live(), Math.min(MAX_TIMER_MS, Math.ceil(leftMs)));
        else if (this.#ping)
            this.#socket?.abort("no answer to a ping");
        else
            this.#sendPing();
    }
    #sendPing() {
        const seq = ++this.#seq;
        this.#ping = { seq, at: now() };
        this.#send({ v: 1, svc: "sys", type: "ping", flags: SEQ_PRESENT, seq });
        this.#live();
    }
    /** 10 % of the ticket's life before its end, at most 30 s. A ticket that is a string has no next one. */
    #refreshInTime() {
        clearTimeout(this.#refreshTimer);
        const expiresAt = this.#session?.expiresAt;
        if (expiresAt == null || typeof this.#options.ticket === "string")
            return;
        const leftMs = expiresAt * 1000 - Date.now();
        if (leftMs <= 0)
            return;
        const inMs = leftMs - Math.min(MAX_REFRESH_LEAD_MS, leftMs / 10);
        this.#refreshTimer = setTimeout(() => {
            if (inMs > MAX_TIMER_MS)
                return this.#refreshInTime();
            this.refresh().catch((error) => {
                if (this.#state === "open")
                    this.#fault(error);
            });
        }, Math.min(MAX_TIMER_MS, inMs));
    }
    // Out
    #send(message) {
        this.#socket?.send(this.#codec.encode(message));
    }
    #call(fields, again, timeoutMs) {
        return quiet(new Promise((resolve, reject) => {
            this.#start();
            const message = Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
            let timer;
            const call = {
                message,
                bytes: this.#codec.size(message),
                again,
                resolve: (data) => (clearTimeout(timer), resolve(data)),
                reject: (error) => (clearTimeout(timer), reject(error)),
            };
            if (this.#state === "open")
                this.#sendCall(call);
            else
                this.#calls.wait(call);
            if (timeoutMs !== undefined) {
                timer = setTimeout(() => this.#calls.reject(call, own("TIMEOUT", "no answer in time")), timeoutMs);
            }
        }));
    }
    #sendCall(call) {
        const seq = ++this.#seq;
        this.#calls.sent(call, seq);
        this.#send({ ...call.message, seq });
    }
    #join(room) {
        const seq = ++this.#seq;
        const data = room.joinData();
        this.#joins.set(seq, room);
        this.#joinOrder.delete(room.name);
        this.#joinOrder.add(room.name);
        this.#send({ v: 1, svc: "room", type: "join", flags: SEQ_PRESENT, seq, room: room.name, ...(data && { data }) });
    }
    #leave(room) {
        if (this.#state !== "open" || room.state === "refused")
            return this.#forget(room);
        const seq = ++this.#seq;
        this.#leaves.set(seq, room);
        this.#send({ v: 1, svc: "room", type: "leave", flags: SEQ_PRESENT, seq, room: room.name });
    }
    #hot(room, service, opcode, payload) {
        const socket = this.#socket;
        const number = this.#rooms.size > 1 ? room.number : undefined;
        const frame = encodeHot(service, opcode, payload, number);
        const goesThere = number !== undefined || [...this.#joinOrder].at(-1) === room.name;
        const open = this.#state === "open" && room.state === "joined" && goesThere;
        if (!socket || !open || socket.bufferedBytes > this.#options.hotBufferedBytes) {
            this.#droppedHot += 1;
            return false;
        }
        socket.send(frame);
        return true;
    }
    #forget(room, told = false) {
        if (this.#rooms.get(room.name) === room) {
            this.#rooms.delete(room.name);
            this.#joinOrder.delete(room.name);
        }
        room.onLeft(told);
    }
    // In
    #received(raw) {
        this.#heardAt = now();
        const decoded = this.#codec.decode(raw);
        if (!decoded)
            return;
        if ("hot" in decoded)
            return this.#onHot(decoded.hot, decoded.number);
        const { message } = decoded;
        const call = this.#calls.of(message.seq);
        if (message.svc === "sys")
            return this.#onSys(message, call);
        if (call && !call.again)
            return this.#calls.resolve(call, message.data);
        const room = message.room === undefined ? undefined : this.#rooms.get(message.room);
        if (!room)
            this.#events.emit("message", message);
        else if (message.svc === "room" && message.type === "presence_diff")
            room.onPresence(message.data);
        else
            room.onMessage(message);
    }
    #onSys({ type, seq, room: name, data: any }, call) {
        const room = name === undefined ? undefined : this.#rooms.get(name);
        const data = (any ?? {});
        if (type === "error")
            return this.#onError(seq, data, call);
        if (type === "authed")
            return this.#onAuthed(data);
        if (type === "joined") {
            this.#joins.delete(seq);
            room?.onJoined(data);
        }
        else if (type === "left") {
            const left = this.#leaves.get(seq);
            this.#leaves.delete(seq);
            if (left)
                this.#forget(left);
            else if (room)
                this.#forget(room, !room.leaving);
        }
        else if (type === "gap")
            room?.onGap(data);
        else if (type === "pong" && this.#ping && this.#ping.seq === seq) {
            this.#roundTripMs = now() - this.#ping.at;
            this.#ping = undefined;
            this.#live();
        }
        else if (type === "refreshed" && this.#session) {
            this.#session = { ...this.#session, expiresAt: data["expires_at"] ?? null };
            this.#refreshInTime();
        }
        else if (type === "draining") {
            const reconnectAfterMs = Number(data["reconnect_after_ms"] ?? 0);
            this.#comeBackAt = now() + reconnectAfterMs;
            this.#events.emit("draining", { reconnectAfterMs });
        }
        if (call && call.again === (type === "ack"))
            this.#calls.resolve(call, any);
    }
    #onAuthed(data) {
        if (this.#session)
            return;
        const { tenant, user, sid, expires_at: expiresAt = null, data: given = null } = data;
        this.#session = { tenant, user, sid, expiresAt, data: given };
        this.#sid = this.#session.sid ?? this.#sid;
        this.#openedAt = now();
        this.#live();
        this.#refreshInTime();
        for (const room of this.#rooms.values())
            if (room.state === "joining")
                this.#join(room);
        for (const call of this.#calls.unsent())
            this.#sendCall(call);
        this.#first.resolve();
        this.#move("open");
    }
    #onError(seq, data, call) {
        const error = new WsPrismError(String(data["code"]), String(data["msg"] ?? ""));
        if (!this.#session) {
            this.#refusal = { waitMs: Number(data["retry_after_ms"] ?? 0), reason: error.message };
            return;
        }
        const join = this.#joins.get(seq);
        const leave = this.#leaves.get(seq);
        this.#joins.delete(seq);
        this.#leaves.delete(seq);
        if (join && passing.has(error.code))
            this.#joinLater(join);
        else if (join) {
            if (this.#rooms.get(join.name) === join)
                this.#joinOrder.delete(join.name);
            join.onRefused(error);
        }
        else if (leave)
            this.#forget(leave);
        else if (call)
            this.#calls.reject(call, error);
        else
            this.#fault(error);
    }
    /** It was refused for now. */
    #joinLater(room) {
        const timer = setTimeout(() => {
            this.#joinTimers.delete(timer);
            if (this.#rooms.get(room.name) === room && room.state === "joining")
                this.#join(room);
        }, this.#options.backoffBaseMs * (0.5 + Math.random()));
        this.#joinTimers.add(timer);
    }
    #onHot(frame, number) {
        const rooms = [...this.#rooms.values()];
        if (number === undefined) {
            this.#events.emit("hot", frame);
            if (rooms.length === 1)
                rooms[0]?.onHot(frame);
            return;
        }
        const room = rooms.find((each) => each.number === number);
        if (room)
            room.onHot({ ...frame, room: room.name });
        else
            this.#events.emit("hot", frame);
    }
    /** An error that belongs to no call: told to whoever listens, else written. */
    #fault(error) {
        const write = (what) => console.error("wsprism-client:", what);
        if (!this.#events.emit("error", error, write))
            write(error);
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
/** Milliseconds on a clock that nobody sets. */
const now = () => performance.now();
/** An id for a publication that has none. */
const makeId = () => [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
