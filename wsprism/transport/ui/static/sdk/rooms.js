/** The rooms of a client: their joins and leaves on the present connection, and which room a hot frame goes to. */
import { encodeHot, SEQ_PRESENT } from "./wire.js";
/** Joins that were refused for now. */
const passing = new Set(["RATE_LIMITED", "UNAVAILABLE", "TIMEOUT", "INTERNAL"]);
export class Rooms {
    /** Hot frames that were dropped before sending. */
    droppedHot = 0;
    #link;
    #options;
    #rooms = new Map();
    #joins = new Map();
    #leaves = new Map();
    /** Names in the order of their joins: the gateway's active room is the last. */
    #order = new Set();
    #timers = new Set();
    constructor(link, options) {
        this.#link = link;
        this.#options = options;
    }
    get(name) {
        return this.#rooms.get(name);
    }
    /** Joined now, or when there is a connection; in the place of one that is being left. */
    add(room) {
        const known = this.#rooms.get(room.name);
        if (known)
            this.#forget(known);
        this.#rooms.set(room.name, room);
        if (this.#link.open)
            this.#join(room);
    }
    joinAll() {
        for (const room of this.#rooms.values())
            if (room.state === "joining")
                this.#join(room);
    }
    leave(room) {
        if (!this.#link.open || room.state === "refused")
            return this.#forget(room);
        const seq = this.#link.nextSeq();
        this.#leaves.set(seq, room);
        this.#link.send({ v: 1, svc: "room", type: "leave", flags: SEQ_PRESENT, seq, room: room.name });
    }
    /** Whether it was handed to the socket. */
    sendHot(room, service, opcode, payload) {
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
    lost() {
        for (const timer of this.#timers)
            clearTimeout(timer);
        this.#timers.clear();
        this.#joins.clear();
        this.#leaves.clear();
        this.#order.clear();
        for (const room of [...this.#rooms.values()]) {
            if (room.leaving)
                this.#forget(room);
            else
                room.onDisconnected();
        }
    }
    close() {
        const rooms = [...this.#rooms.values()];
        this.#rooms.clear();
        for (const room of rooms)
            room.onLeft(false);
    }
    // What the gateway says
    onJoined(seq, name, data) {
        this.#joins.delete(seq);
        this.get(name)?.onJoined(data);
    }
    onLeft(seq, name) {
        const left = take(this.#leaves, seq);
        const room = this.get(name);
        if (left)
            this.#forget(left);
        else if (room)
            this.#forget(room, !room.leaving);
    }
    /** Whether it was the answer to a join or a leave. `waitMs`: not sooner again. */
    onError(seq, error, waitMs) {
        const join = take(this.#joins, seq);
        const leave = take(this.#leaves, seq);
        if (join && passing.has(error.code))
            this.#joinLater(join, waitMs);
        else if (join) {
            if (this.#rooms.get(join.name) === join)
                this.#order.delete(join.name);
            join.onRefused(error);
        }
        else if (leave)
            this.#forget(leave);
        return join !== undefined || leave !== undefined;
    }
    /** Tells the room that the frame is of; whether it names one of these. */
    onHot(frame, number) {
        const rooms = [...this.#rooms.values()];
        const named = number === undefined ? undefined : rooms.find((each) => each.number === number);
        if (named)
            named.onHot({ ...frame, room: named.name });
        else if (number === undefined && rooms.length === 1)
            rooms[0]?.onHot(frame);
        return named !== undefined;
    }
    #join(room) {
        const seq = this.#link.nextSeq();
        const data = room.joinData();
        this.#joins.set(seq, room);
        this.#order.delete(room.name);
        this.#order.add(room.name);
        this.#link.send({ v: 1, svc: "room", type: "join", flags: SEQ_PRESENT, seq, room: room.name, ...(data && { data }) });
    }
    /** It was refused for now. */
    #joinLater(room, waitMs) {
        const timer = setTimeout(() => {
            this.#timers.delete(timer);
            if (this.#rooms.get(room.name) === room && room.state === "joining")
                this.#join(room);
        }, waitMs + this.#options.backoffBaseMs * (0.5 + Math.random()));
        this.#timers.add(timer);
    }
    #forget(room, told = false) {
        if (this.#rooms.get(room.name) === room) {
            this.#rooms.delete(room.name);
            this.#order.delete(room.name);
        }
        room.onLeft(told);
    }
}
function take(rooms, seq) {
    const room = rooms.get(seq);
    rooms.delete(seq);
    return room;
}
