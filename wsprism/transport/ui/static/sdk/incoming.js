/** What comes over the connection, and whose it is. */
import { WsPrismError } from "./errors.js";
import { count, milliseconds, text } from "./fields.js";
/** Before it has let the client in, a gateway says why it does not, and nothing else. */
const first = new Set(["authed", "error", "draining"]);
const mayComeFirst = (decoded) => "message" in decoded && decoded.message.svc === "sys" && first.has(decoded.message.type);
/** One message. Whatever it does, the next one is read. */
export function receive(parts, raw) {
    try {
        onAny(parts, raw);
    }
    catch (error) {
        parts.fault(error);
    }
}
function onAny(parts, raw) {
    const { link, calls, rooms, events } = parts;
    parts.liveness.heard();
    const decoded = link.codec.decode(raw);
    if (!decoded || (!parts.life.session && !mayComeFirst(decoded)))
        return;
    if ("hot" in decoded) {
        if (!rooms.onHot(decoded.hot, decoded.number))
            events.emit("hot", decoded.hot);
        return;
    }
    const { message } = decoded;
    const call = calls.of(message.seq);
    if (message.svc === "sys")
        return onSys(parts, message, call);
    if (call && !call.again)
        return calls.resolve(call, message.data);
    const room = rooms.get(message.room);
    if (!room)
        events.emit("message", message);
    else if (message.svc === "room" && message.type === "presence_diff")
        room.onPresence(message.data);
    else
        room.onMessage(message);
}
function onSys(parts, { type, seq, room, data: given }, call) {
    const { life, calls, rooms, events } = parts;
    const data = (given ?? {});
    switch (type) {
        case "error":
            return onError(parts, seq, data, call);
        case "authed":
            return onAuthed(life, data);
        case "joined":
            rooms.onJoined(seq, room, data);
            break;
        case "left":
            rooms.onLeft(seq, room);
            break;
        case "gap":
            rooms.get(room)?.onGap(data);
            break;
        case "pong":
            parts.liveness.pong(seq);
            break;
        case "refreshed":
            if (life.session) {
                life.session = { ...life.session, expiresAt: count(data["expires_at"]) };
                parts.expires(life.session.expiresAt, true);
            }
            break;
        case "draining": {
            const reconnectAfterMs = milliseconds(data["reconnect_after_ms"]);
            life.draining(reconnectAfterMs);
            events.emit("draining", { reconnectAfterMs });
            break;
        }
        case "degraded":
            events.emit("degraded", { degraded: data["degraded"] === true });
    }
    if (call && call.again === (type === "ack"))
        calls.resolve(call, given);
}
function onAuthed(life, data) {
    if (life.session)
        return;
    const [tenant, user, sid] = ["tenant", "user", "sid"].map((name) => text(data[name]) ?? "");
    life.authed({ tenant, user, sid, expiresAt: count(data["expires_at"]), data: data["data"] ?? null });
}
function onError(parts, seq, data, call) {
    const error = new WsPrismError(String(data["code"]), String(data["msg"] ?? ""));
    const waitMs = milliseconds(data["retry_after_ms"]);
    if (!parts.life.session)
        return parts.life.refused(error.message, waitMs);
    if (parts.rooms.onError(seq, error, waitMs))
        return;
    if (call)
        parts.calls.reject(call, error);
    else
        parts.fault(error);
}
