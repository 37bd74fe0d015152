/** A room as a client sees it: joined now and after every reconnect, from where it stood. */
import { quiet } from "./clock.js";
import { text, whole } from "./fields.js";
import { own } from "./errors.js";
import { Emitter } from "./events.js";
/** Made by `client.room`. */
export class Room {
    name;
    #client;
    #events;
    #presence;
    #own;
    #state = "joining";
    #since;
    #number;
    #before;
    #last;
    #refusal;
    #joinWaiters = [];
    #leaveWaiters = [];
    /** @internal */
    constructor(client, name, { presence = false, state, since }) {
        this.name = name;
        this.#client = client;
        this.#presence = presence;
        this.#own = state;
        this.#since = since && { ...since };
        this.#before = since !== undefined;
        this.#events = new Emitter(["message", "hot", "joined", "recovered", "lost", "presence", "left", "error"], (error) => client.fault(error));
    }
    get state() {
        return this.#state;
    }
    /** What the last join said; rejects when it is refused. */
    joined() {
        if (this.#state === "joined")
            return Promise.resolve(this.#last);
        const over = this.#over();
        if (over)
            return quiet(Promise.reject(over));
        return quiet(new Promise((resolve, reject) => this.#joinWaiters.push({ resolve, reject })));
    }
    /** Publish, once whatever happens to the connection. The offset of the ack; null in a room without history. */
    publish(type, data, { svc = "chat", id } = {}) {
        const over = this.#over();
        if (over)
            return quiet(Promise.reject(over));
        return this.#client.publish(svc, type, data, { room: this.name, id });
    }
    /** Send a hot frame into this room: whether it was handed to the socket. Never queued. */
    hot(service, opcode, payload = new Uint8Array()) {
        return this.#client.hot(this, service, opcode, payload);
    }
    /** Leave, and join no more. */
    leave() {
        if (this.#state === "left")
            return Promise.resolve();
        const left = new Promise((resolve, reject) => this.#leaveWaiters.push({ resolve, reject }));
        this.#client.leave(this);
        return quiet(left);
    }
    /** What the room remembers. */
    history(options = {}) {
        return this.#client.request("room", "history", options, { room: this.name });
    }
    /** Change what others see of this session, now and after each reconnect. */
    setState(state) {
        this.#own = state;
        return quiet(this.#client.publish("room", "state", { state }, { room: this.name }).then(() => { }));
    }
    on(event, listener) {
        this.#events.on(event, listener);
        return this;
    }
    off(event, listener) {
        this.#events.off(event, listener);
        return this;
    }
    /** @internal */
    get number() {
        return this.#number;
    }
    /** Somebody waits for `left`. @internal */
    get leaving() {
        return this.#leaveWaiters.length > 0;
    }
    /** The data of its `room.join`. @internal */
    joinData() {
        this.#state = "joining";
        const data = {};
        if (this.#since)
            data["since"] = this.#since;
        if (this.#presence)
            data["presence"] = true;
        if (this.#own !== undefined)
            data["state"] = this.#own;
        return Object.keys(data).length > 0 ? data : undefined;
    }
    /** @internal */
    onJoined(data) {
        const [epoch, offset, number] = [text(data.epoch), whole(data.offset), whole(data.number)];
        const since = this.#since;
        const again = this.#before;
        let recovered = data.recovered === true;
        // What is recovered goes on from where this room stands.
        if (since)
            recovered &&= epoch === since.epoch && (offset === null || offset >= since.offset);
        if (!recovered || !since)
            this.#since = epoch === null ? undefined : { epoch, offset: offset ?? 0 };
        this.#before = true;
        this.#number = number ?? undefined;
        this.#state = "joined";
        const last = { epoch, offset, recovered, count: whole(data.count), number, presence: data.presence ?? null };
        this.#last = last;
        for (const waiter of this.#joinWaiters.splice(0))
            waiter.resolve(last);
        this.#events.emit("joined", last);
        if (!again || this.state !== "joined")
            return; // joined for the first time, or left by a listener
        if (recovered)
            this.#events.emit("recovered", { count: last.count ?? 0 });
        else
            this.#events.emit("lost", { epoch, offset });
    }
    /** @internal */
    onRefused(error) {
        this.#state = "refused";
        this.#refusal = error;
        for (const waiter of this.#joinWaiters.splice(0))
            waiter.reject(error);
        if (!this.#events.emit("error", error))
            this.#client.fault(error);
    }
    /** @internal */
    onMessage(message) {
        const offset = whole(message.offset);
        if (offset !== null && this.#since) {
            if (offset <= this.#since.offset)
                return; // seen already
            this.#since.offset = offset;
        }
        this.#events.emit("message", message);
    }
    /** @internal */
    onGap(data) {
        const [epoch, offset] = [text(data.epoch), whole(data.offset)];
        if (epoch !== null)
            this.#since = { epoch, offset: offset ?? 0 };
        this.#events.emit("lost", { epoch, offset });
    }
    /** @internal */
    onHot(frame) {
        this.#events.emit("hot", frame);
    }
    /** @internal */
    onPresence(diff) {
        this.#events.emit("presence", diff);
    }
    /** @internal */
    onDisconnected() {
        if (this.#state === "joined")
            this.#state = "joining";
        this.#number = undefined;
    }
    /** Out of it for good: left, removed by the gateway (`told`), or the client is closed. @internal */
    onLeft(told) {
        if (this.#state === "left")
            return;
        this.#state = "left";
        this.#number = undefined;
        for (const waiter of this.#leaveWaiters.splice(0))
            waiter.resolve();
        for (const waiter of this.#joinWaiters.splice(0))
            waiter.reject(own("CLOSED", "the room has been left"));
        if (told)
            this.#events.emit("left", {});
    }
    #over() {
        if (this.#state === "refused")
            return this.#refusal;
        return this.#state === "left" ? own("CLOSED", "the room has been left") : undefined;
    }
}
