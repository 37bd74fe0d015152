// Guess the number, 1 to 100, in AssemblyScript: the same game as guess.py and guess.c. Built with
//
//     npm ci && npm run build

const input = memory.data(65536);
const output = memory.data(4096);
let written: u32 = 0;
let seed: u32 = 1;

class Room {
  random: u32 = seed;
  number: u32 = 0;
  tries: u32 = 0;

  constructor() {
    this.renew();
  }

  renew(): void {
    this.random = (this.random * 1103515245 + 12345) & 0x7fffffff;
    this.number = (this.random >> 16) % 100 + 1;
    this.tries = 0;
  }
}

const MOST_ROOMS = 64;
const rooms = new Map<string, Room>();

export function failed(message: string | null, file: string | null, line: u32, column: u32): void {
  unreachable();
}

export function wsprism_abi(): i32 {
  return 1;
}

export function wsprism_alloc(size: u32): usize {
  return size <= 65536 ? input : 0;
}

export function wsprism_init(at: usize, size: u32): i32 {
  const given = get(String.UTF8.decodeUnsafe(at, size), "seed");
  if (given == "") return 0;
  const number = whole(given);
  if (number < 0) return 1;
  seed = <u32>number;
  return 0;
}

export function wsprism_handle(at: usize, size: u32): u64 {
  const message = String.UTF8.decodeUnsafe(at, size);
  const name = get(message, "room");
  if (get(message, "type") != '"guess"') return refuse("NOT_ALLOWED", "there is only guess");
  if (name == "") return refuse("NOT_ALLOWED", "join a room first");
  const n = whole(get(get(message, "data"), "n"));
  if (n < 1 || n > 100) return refuse("BAD_REQUEST", "n must be from 1 to 100");
  if (!rooms.has(name)) {
    if (rooms.size >= MOST_ROOMS) rooms.delete(rooms.keys()[0]);
    rooms.set(name, new Room());
  }
  const room = rooms.get(name);
  const number = room.number;
  const tries = ++room.tries;
  let won = "";
  if (n == number) {
    const by = get(get(message, "session"), "user");
    won = `{"publish":{"type":"won","data":{"by":${by},"n":${number},"tries":${tries}}}},`;
    room.renew();
  }
  const hint = n == number ? "right" : n < <i32>number ? "higher" : "lower";
  return answer(`{"effects":[${won}{"reply":{"hint":"${hint}","tries":${tries}}}]}`);
}

function refuse(code: string, msg: string): u64 {
  return answer(`{"effects":[{"refuse":{"code":"${code}","msg":"${msg}"}}]}`);
}

function answer(text: string): u64 {
  written = <u32>String.UTF8.byteLength(text);
  if (written > 4096) unreachable();
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, output);
  return ((<u64>output) << 32) | written;
}

// What stands at `key` of a compact JSON object, as it is written there; "" where there is none.
function get(object: string, key: string): string {
  let at = 1;
  while (at < object.length && object.charCodeAt(at) == 34) {
    const value = end(object, at) + 1;
    const after = end(object, value);
    if (object.substring(at + 1, value - 2) == key) return object.substring(value, after);
    at = after + 1;
  }
  return "";
}

function end(text: string, from: i32): i32 {
  let depth = 0;
  let inString = false;
  for (let at = from; at < text.length; at++) {
    const c = text.charCodeAt(at);
    if (inString) {
      if (c == 92) at++;
      else if (c == 34) {
        inString = false;
        if (!depth) return at + 1;
      }
    } else if (c == 34) inString = true;
    else if (c == 123 || c == 91) depth++;
    else if (c == 125 || c == 93) {
      if (!depth) return at;
      if (!--depth) return at + 1;
    } else if (c == 44 && !depth) return at;
  }
  return text.length;
}

function whole(text: string): i32 {
  if (text.length == 0 || text.length > 9) return -1;
  let number = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
}
