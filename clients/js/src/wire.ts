/** The wire format: envelopes in JSON or MessagePack, and hot frames (docs/protocol.md). */

import { pack, unpack } from "./msgpack.js";

/** An envelope of the ext lane. */
export interface Message {
  svc: string;
  type: string;
  room?: string;
  seq?: number;
  /** Its place in a room that remembers. */
  offset?: number;
  data?: unknown;
  [field: string]: unknown;
}

/** A frame of the hot lane. `room`: the name of the room that it came from, where the frame tells. */
export interface HotFrame {
  service: number;
  opcode: number;
  flags: number;
  payload: Uint8Array;
  seq?: number;
  sender?: string;
  room?: string;
}

export type Decoded = { message: Message } | { hot: HotFrame; number?: number };

export const SEQ_PRESENT = 1;
export const ACK_REQUESTED = 4;

const HOT_SEQ = 0x01;
const HOT_SENDER = 0x04;
const HOT_ROOM = 0x08;

/** Of a message as it is sent. */
export const byteLength = (encoded: string | Uint8Array): number =>
  typeof encoded === "string" ? new TextEncoder().encode(encoded).length : encoded.length;

/** One client's encoding of the ext lane. */
export class Codec {
  readonly subprotocol: string;
  readonly #packed: boolean;

  constructor(format: "json" | "msgpack") {
    this.#packed = format === "msgpack";
    this.subprotocol = this.#packed ? "wsprism.v1.msgpack" : "wsprism.v1";
  }

  /** Throws TypeError for what cannot be sent. */
  encode(message: object): string | Uint8Array {
    return this.#packed ? pack(message) : JSON.stringify(message);
  }

  /** An encoded message with a `seq` put in front: what was made once may be sent many times. */
  withSeq(encoded: string | Uint8Array, seq: number): string | Uint8Array {
    if (typeof encoded === "string") return `{"seq":${seq},${encoded.slice(1)}`;
    const field = pack({ seq }); // a map of one, as `encoded` is one of up to fourteen
    const whole = new Uint8Array(field.length + encoded.length - 1);
    whole.set(field);
    whole.set(encoded.subarray(1), field.length);
    whole[0] = (encoded[0] as number) + 1;
    return whole;
  }

  /** An envelope, or a hot frame and the number of its room; null for what is neither. */
  decode(raw: string | Uint8Array): Decoded | null {
    try {
      if (typeof raw === "string") return envelope(JSON.parse(raw));
      const head = raw[0] ?? 0;
      const packed = this.#packed && ((head & 0xf0) === 0x80 || head === 0xde || head === 0xdf);
      return packed ? envelope(unpack(raw)) : decodeHot(raw);
    } catch {
      return null;
    }
  }
}

const envelope = (value: unknown): Decoded | null =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? { message: value as Message } : null;

/** A frame in the compact framing; `number` stands for its room. Throws RangeError for what does not fit a byte. */
export function encodeHot(service: number, opcode: number, payload: Uint8Array, number?: number): Uint8Array {
  for (const value of [service, opcode]) {
    if (!(Number.isInteger(value) && value >= 0 && value <= 255)) throw new RangeError("service and opcode are 0 to 255");
  }
  const head = number === undefined ? 3 : 7;
  const frame = new Uint8Array(head + payload.length);
  frame.set([service, opcode, number === undefined ? 0 : HOT_ROOM]);
  if (number !== undefined) new DataView(frame.buffer).setUint32(3, number, true);
  frame.set(payload, head);
  return frame;
}

/** A frame as a gateway sends it; RangeError when it is cut short. */
function decodeHot(raw: Uint8Array): Decoded {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const flags = view.getUint8(2);
  const hot: HotFrame = { service: view.getUint8(0), opcode: view.getUint8(1), flags, payload: raw };
  const found: { hot: HotFrame; number?: number } = { hot };
  let at = 3;
  if (flags & HOT_SEQ) {
    hot.seq = view.getUint32(at, true);
    at += 4;
  }
  if (flags & HOT_ROOM) {
    found.number = view.getUint32(at, true);
    at += 4;
  }
  if (flags & HOT_SENDER) {
    const length = view.getUint8(at);
    hot.sender = new TextDecoder().decode(raw.subarray(at + 1, at + 1 + length));
    at += 1 + length;
  }
  if (at > raw.length) throw new RangeError("cut short");
  hot.payload = raw.slice(at);
  return found;
}
