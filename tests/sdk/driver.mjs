// Drives the JavaScript SDK as a test says, line by line: driver.py does the same with the Python one.
// In Node: `node driver.mjs <address of the package>`, over standard input and output. In a page: run(module, send).

const camel = (name) => name.replace(/_s$/, "_ms").replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
const renamed = {
  nextAttemptAt: ["next_attempt_at", 1000],
  reconnectAfterMs: ["reconnect_after_s", 1000],
  expiresAt: ["expires_at", 1],
};

/** In the words of the Python SDK. */
function plain(value) {
  if (value instanceof Uint8Array) return { hex: [...value].map((byte) => byte.toString(16).padStart(2, "0")).join("") };
  if (value instanceof Error) return { error: value.name, code: value.code, msg: value.msg ?? value.message };
  if (value === undefined) return null;
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  const entries = Object.entries(value).map(([key, each]) => {
    const [name, by] = renamed[key] ?? [key, null];
    return [name, by && typeof each === "number" ? each / by : plain(each)];
  });
  return Object.fromEntries(entries);
}

const unhex = (value) =>
  value && typeof value.hex === "string" ? Uint8Array.from(value.hex.match(/../g) ?? [], (pair) => parseInt(pair, 16)) : value;

const CLIENT_EVENTS = ["state", "message", "hot", "error", "draining", "degraded"];
const trueTime = Date.now;
const ROOM_EVENTS = ["message", "hot", "joined", "recovered", "lost", "presence", "left", "error"];

export function run({ Client }, send, globals = {}) {
  let clients = new Map();
  let rooms = new Map();
  const tell = (fields) => send({ ...fields, at: performance.timeOrigin + performance.now() });
  console.error = (...what) => tell({ event: "log", value: what.map(String).join(" ") });
  globalThis.addEventListener?.("unhandledrejection", (event) => tell({ event: "unhandled", value: String(event.reason) }));
  globalThis.process?.on("unhandledRejection", (reason) => tell({ event: "unhandled", value: String(reason) }));

  const ticketOf = (steps, client) => {
    if (!Array.isArray(steps)) return steps;
    let asked = 0;
    return async () => {
      const step = steps[Math.min(asked++, steps.length - 1)];
      tell({ client, event: "ticket", value: asked });
      if (typeof step === "string") return step;
      if (step.throw) throw new Error(step.throw);
      if ("give" in step) return step.give;
      if (step.cancel) throw undefined;
      if (step.close) {
        await clients.get(client).close();
        return "late";
      }
      return new Promise(() => {});
    };
  };

  const commands = {
    new({ client, url, options, listen }) {
      const given = Object.fromEntries(
        Object.entries(options).map(([name, value]) => [camel(name), name.endsWith("_s") ? value * 1000 : value]),
      );
      const made = new Client(url, { ...given, ...globals, ticket: ticketOf(options.ticket, client) });
      clients.set(client, made);
      for (const event of CLIENT_EVENTS) {
        if (listen || event !== "error") made.on(event, (value) => tell({ client, event, value: plain(value) }));
      }
    },
    room({ client, room, options, listen }) {
      const made = clients.get(client).room(room, options);
      if (listen && rooms.get(client + "/" + room) !== made) {
        for (const event of ROOM_EVENTS) made.on(event, (value) => tell({ client, room, event, value: plain(value) }));
      }
      const same = rooms.get(client + "/" + room) === made;
      rooms.set(client + "/" + room, made);
      return same;
    },
    async call({ client, room, method, args, kwargs }) {
      const of = room === null ? clients.get(client) : rooms.get(client + "/" + room);
      const named = Object.entries(kwargs).map(([name, value]) => [camel(name), name.endsWith("_s") ? value * 1000 : value]);
      const given = args.map(unhex);
      if (named.length > 0 && method !== "history" && room === null) while (given.length < 3) given.push(undefined);
      if (named.length > 0 && method === "publish" && room !== null) while (given.length < 2) given.push(undefined);
      if (named.length > 0) given.push(Object.fromEntries(named));
      return plain(await of[camel(method)](...given));
    },
    /** Publish `before`, and make the same object `after` while that is under way. */
    change({ client, room, before, after }) {
      const publishing = rooms.get(client + "/" + room).publish("send", before);
      for (const key of Object.keys(before)) delete before[key];
      Object.assign(before, after);
      return publishing;
    },
    get({ client, room, name }) {
      const of = room === null ? clients.get(client) : rooms.get(client + "/" + room);
      if (name === "round_trip_s") return of.roundTripMs === null ? null : of.roundTripMs / 1000;
      if (name === "next_attempt_at") return of.nextAttemptAt === null ? null : of.nextAttemptAt / 1000;
      return plain(of[camel(name)]);
    },
    throwing({ client, room, event, later }) {
      const of = room === null ? clients.get(client) : rooms.get(client + "/" + room);
      const throwNow = () => {
        throw new Error("thrown by a listener");
      };
      const throwLater = async () => {
        await null;
        throw new Error("thrown by an async listener");
      };
      of.on(event, later ? throwLater : throwNow);
    },
    /** The first time that it happens, call a method of the client, or of the room `on`, from the listener. */
    react({ client, room, event, on, method, args }) {
      const of = (name) => (name === null ? clients.get(client) : rooms.get(client + "/" + name));
      let done = false;
      of(room).on(event, () => {
        if (done) return;
        done = true;
        void of(on)[method](...args);
      });
    },
    /** Publish so many at once: how many ended with which code. */
    async flood({ client, room, count }) {
      const made = rooms.get(client + "/" + room);
      const calls = Array.from({ length: count }, (_, number) => made.publish("send", { msg: String(number) }));
      const codes = {};
      for (const { status, reason } of await Promise.allSettled(calls)) {
        const code = status === "fulfilled" ? "ok" : reason.code;
        codes[code] = (codes[code] ?? 0) + 1;
      }
      return codes;
    },
    /** Set the clock of this process, that which people read. */
    jump({ by_s: byS }) {
      Date.now = () => trueTime() + byS * 1000;
    },
    wake() {
      globalThis.dispatchEvent(new Event("online"));
    },
    async reset() {
      for (const client of clients.values()) await client.close();
      clients = new Map();
      rooms = new Map();
    },
  };

  return async (line) => {
    const { id, do: what, ...fields } = line;
    try {
      send({ id, value: (await commands[what](fields)) ?? null });
    } catch (error) {
      send({ id, error: { type: error.name, code: error.code ?? null, msg: String(error.msg ?? error.message) } });
    }
  };
}

if (globalThis.process?.argv?.[1] === import.meta.filename && import.meta.filename) {
  const { createInterface } = await import("node:readline");
  const write = process.stdout.write.bind(process.stdout);
  const handle = run(await import(process.argv[2]), (message) => write(JSON.stringify(message) + "\n"));
  for await (const line of createInterface({ input: process.stdin })) void handle(JSON.parse(line));
  process.exit(0);
}
