/** Hot frames as people write them: bytes in hex, and numbers with their type (`u8 7`, `u16:500`, `f32(1.5)`). */

const NUMBERS = {
  u8: [1, "setUint8", 0, 0xff],
  i8: [1, "setInt8", -0x80, 0x7f],
  u16: [2, "setUint16", 0, 0xffff],
  i16: [2, "setInt16", -0x8000, 0x7fff],
  u32: [4, "setUint32", 0, 0xffffffff],
  i32: [4, "setInt32", -0x80000000, 0x7fffffff],
  f32: [4, "setFloat32", -Infinity, Infinity],
  f64: [8, "setFloat64", -Infinity, Infinity],
};

export const HELP = "Bytes in hex, and numbers (little endian) as u8 7, u16 500, f32 1.5. It begins: service, opcode, flags.";

const typed = new RegExp(`(?<![0-9a-z])(${Object.keys(NUMBERS).join("|")})[\\s:(]+(-?[\\d.]+(?:e-?\\d+)?)\\)?`, "gi");

/** The bytes of `text`; throws an Error that says what is wrong. */
export function parseFrame(text) {
  const words = text.replace(typed, " $1:$2 ").split(/[\s,]+/).filter(Boolean);
  const parts = words.map((word) => {
    const [type, value] = word.split(":");
    return value === undefined ? hexBytes(word.replace(/^0x/i, "")) : number(type.toLowerCase(), Number(value));
  });
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** Service, opcode and payload of a frame in the compact framing, as the SDK takes them. */
export function takeApart(frame) {
  if (frame.length < 3) throw new Error("A frame has at least three bytes: service, opcode, flags.");
  const [service, opcode, flags] = frame;
  if (flags !== 0) throw new Error("The flags must be 00: the SDK sets what is needed.");
  return { service, opcode, payload: frame.slice(3) };
}

const MOST_SHOWN = 64;

/** Bytes in hex, cut where nobody reads on. */
export function hex(raw) {
  const shown = [...raw.slice(0, MOST_SHOWN)].map((one) => one.toString(16).padStart(2, "0")).join(" ");
  return raw.length > MOST_SHOWN ? `${shown} …` : shown;
}

export const base64 = (raw) => btoa(String.fromCharCode(...raw));

function number(type, value) {
  const [size, set, least, most] = NUMBERS[type] ?? [];
  if (!size) throw new Error(`${type} is no type: there are ${Object.keys(NUMBERS).join(", ")}.`);
  const whole = !type.startsWith("f");
  if (Number.isNaN(value) || value < least || value > most || (whole && !Number.isInteger(value))) {
    throw new Error(`${value} is no ${type}.`);
  }
  const raw = new DataView(new ArrayBuffer(size));
  raw[set](0, value, true);
  return new Uint8Array(raw.buffer);
}

function hexBytes(word) {
  if (!/^(?:[0-9a-f]{2})+$/i.test(word)) throw new Error(`"${word}" is not bytes in hex.`);
  return Uint8Array.from(word.match(/../g), (one) => parseInt(one, 16));
}
