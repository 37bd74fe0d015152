/** MessagePack of what JSON can say: no extensions; binary is read, not written. */
const utf8 = new TextEncoder();
const text = new TextDecoder();
/** Throws TypeError for what JSON could not say either. */
export function pack(value) {
    let buffer = new Uint8Array(256);
    let view = new DataView(buffer.buffer);
    let size = 0;
    const room = (bytes) => {
        const at = size;
        size += bytes;
        if (size > buffer.length) {
            const larger = new Uint8Array(Math.max(size, buffer.length * 2));
            larger.set(buffer);
            buffer = larger;
            view = new DataView(buffer.buffer);
        }
        return at;
    };
    const byte = (value) => {
        const at = room(1);
        view.setUint8(at, value);
    };
    const u16 = (head, value) => {
        byte(head);
        const at = room(2);
        view.setUint16(at, value);
    };
    const u32 = (head, value) => {
        byte(head);
        const at = room(4);
        view.setUint32(at, value);
    };
    const big = (value) => {
        byte(value < 0n ? 0xd3 : 0xcf);
        const at = room(8);
        if (value < 0n)
            view.setBigInt64(at, value);
        else
            view.setBigUint64(at, value);
    };
    const number = (value) => {
        if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
            if (value >= 0 ? value < 0x80 : value >= -0x20)
                byte(value & 0xff);
            else if (value >= 0 && value <= 0xffff)
                u16(0xcd, value);
            else if (value >= 0 && value <= 0xffff_ffff)
                u32(0xce, value);
            else
                big(BigInt(value));
        }
        else if (Number.isFinite(value)) {
            byte(0xcb);
            const at = room(8);
            view.setFloat64(at, value);
        }
        else
            byte(0xc0);
    };
    const string = (value) => {
        const raw = utf8.encode(value);
        if (raw.length < 0x20)
            byte(0xa0 | raw.length);
        else if (raw.length <= 0xffff)
            u16(0xda, raw.length);
        else
            u32(0xdb, raw.length);
        const at = room(raw.length);
        buffer.set(raw, at);
    };
    const count = (fixed, head, length) => {
        if (length < 0x10)
            byte(fixed | length);
        else if (length <= 0xffff)
            u16(head, length);
        else
            u32(head + 1, length);
    };
    const any = (value) => {
        if (typeof value?.toJSON === "function") {
            value = value.toJSON();
        }
        if (value === null || value === undefined)
            byte(0xc0);
        else if (typeof value === "boolean")
            byte(value ? 0xc3 : 0xc2);
        else if (typeof value === "number")
            number(value);
        else if (typeof value === "bigint")
            big(value);
        else if (typeof value === "string")
            string(value);
        else if (Array.isArray(value)) {
            count(0x90, 0xdc, value.length);
            value.forEach(any);
        }
        else if (typeof value === "object") {
            const entries = Object.entries(value).filter(([, member]) => member !== undefined);
            count(0x80, 0xde, entries.length);
            for (const [key, member] of entries) {
                string(key);
                any(member);
            }
        }
        else
            throw new TypeError(`a ${typeof value} cannot be sent`);
    };
    any(value);
    return buffer.slice(0, size);
}
/** Throws RangeError for what is cut short, TypeError for what is no MessagePack. */
export function unpack(raw) {
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    let at = 0;
    const take = (bytes) => {
        const from = at;
        at += bytes;
        if (at > raw.length)
            throw new RangeError("cut short");
        return from;
    };
    const uint = (bytes) => {
        const from = take(bytes);
        return bytes === 1 ? view.getUint8(from) : bytes === 2 ? view.getUint16(from) : view.getUint32(from);
    };
    const big = (value) => (BigInt.asIntN(54, value) === value ? Number(value) : value);
    const bytes = (length) => raw.slice(take(length), at);
    const string = (length) => text.decode(bytes(length));
    const array = (length) => {
        const values = [];
        for (let left = length; left > 0; left--)
            values.push(any());
        return values;
    };
    const map = (length) => {
        const entries = [];
        for (let left = length; left > 0; left--)
            entries.push([String(any()), any()]);
        return Object.fromEntries(entries);
    };
    const any = () => {
        const head = uint(1);
        if (head < 0x80)
            return head;
        if (head < 0x90)
            return map(head & 0x0f);
        if (head < 0xa0)
            return array(head & 0x0f);
        if (head < 0xc0)
            return string(head & 0x1f);
        if (head >= 0xe0)
            return head - 0x100;
        switch (head) {
            case 0xc0: return null;
            case 0xc2: return false;
            case 0xc3: return true;
            case 0xc4:
            case 0xc5:
            case 0xc6: return bytes(uint(1 << (head - 0xc4)));
            case 0xca: return view.getFloat32(take(4));
            case 0xcb: return view.getFloat64(take(8));
            case 0xcc:
            case 0xcd:
            case 0xce: return uint(1 << (head - 0xcc));
            case 0xcf: return big(view.getBigUint64(take(8)));
            case 0xd0: return view.getInt8(take(1));
            case 0xd1: return view.getInt16(take(2));
            case 0xd2: return view.getInt32(take(4));
            case 0xd3: return big(view.getBigInt64(take(8)));
            case 0xd9:
            case 0xda:
            case 0xdb: return string(uint(1 << (head - 0xd9)));
            case 0xdc:
            case 0xdd: return array(uint(2 << (head - 0xdc)));
            case 0xde:
            case 0xdf: return map(uint(2 << (head - 0xde)));
            default: throw new TypeError("no MessagePack that JSON could say");
        }
    };
    return any();
}
