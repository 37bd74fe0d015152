/** One client of the playground: its fields, its SDK client, and a log of what went over the wire. */

import { Client } from "./sdk/index.js";
import { button, field, h, show } from "./dom.js";
import { bytes, clock, json, milliseconds, parseData, size } from "./format.js";
import { HELP, hex, parseFrame, takeApart } from "./frames.js";
import { Log } from "./live.js";

const FIELDS = ["url", "tenant", "ticket", "room", "service", "type", "data", "frame"];
const DEFAULTS = { ticket: "dev", room: "match:1", service: "chat", type: "send", data: '{"msg": "hi"}', frame: "" };
const MOST_WAITING = 1000;

export class PlaygroundClient {
  #inputs;
  #client = null;
  #rooms = new Map();
  #log;
  #sent = new Map();

  /** `fields` are what stands in its fields first; `link` and `remove` are the playground's. */
  constructor(number, fields, { link, remove }) {
    const title = `Client ${number}`;
    const given = { ...DEFAULTS, ...fields };
    this.#inputs = Object.fromEntries(FIELDS.map((name) => [name, input(name, given[name] ?? "")]));
    const { url, tenant, ticket, room, service, type, data, frame } = this.#inputs;
    const list = h("ul", { class: "log", role: "list", "aria-label": "Log", tabindex: 0 });
    this.#log = new Log(list);
    this.state = h("span", { class: "state", role: "status" }, "idle");
    this.wrong = h("div", {});
    const helpers = ["u8", "u16", "f32"].map((one) =>
      button(one, () => {
        frame.value = `${frame.value.trimEnd()} ${one} 0`.trimStart();
        frame.focus();
      }, { class: "quiet" }),
    );
    this.element = h(
      "section",
      { class: "client", role: "region", "aria-label": title },
      h("div", { class: "bar" }, h("h2", {}, title), this.state, button("Link", link, { class: "quiet" }), button("Remove", () => {
        this.#close();
        remove();
      }, { class: "quiet" })),
      this.#form(() => this.#connect(), [field("URL", url), field("Tenant", tenant), field("Ticket", ticket)], "Connect", [
        button("Disconnect", () => this.#close()),
      ]),
      this.#form(() => this.#join(), [field("Room", room)], "Join", [button("Leave", () => this.#try(() => this.#leave()))]),
      this.#form(() => this.#send(), [field("Service", service), field("Type", type), field("Data", data)], "Send"),
      this.#form(() => this.#sendFrame(), [field("Frame", frame, HELP)], "Send frame", helpers),
      this.wrong,
      h("div", { class: "bar" }, h("h3", {}, "Log"), button("Clear", () => this.#log.clear(), { class: "quiet" })),
      list,
    );
  }

  /** What stands in its fields, fit for a link: a ticket is a secret unless it is for developing. */
  fields() {
    const { ticket, ...rest } = Object.fromEntries(FIELDS.map((name) => [name, this.#inputs[name].value]));
    return ticket === "dev" || ticket.startsWith("dev:") ? { ...rest, ticket } : { ...rest, ticket: "" };
  }

  /** What is known now, for fields that are empty. */
  offer(fields) {
    for (const [name, value] of Object.entries(fields)) this.#inputs[name].value ||= value;
  }

  #form(submit, fields, label, more = []) {
    return h(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          this.#try(submit);
        },
      },
      fields,
      h("div", { class: "buttons" }, h("button", { type: "submit" }, label), more),
    );
  }

  async #try(doIt) {
    show(this.wrong);
    try {
      await doIt();
    } catch (error) {
      const text = error.code ? `${error.code}: ${error.message}` : error.message;
      show(this.wrong, h("p", { role: "alert" }, text));
    }
  }

  async #connect() {
    this.#close();
    const { url, tenant, ticket } = this.#inputs;
    const log = (...entry) => this.#note(...entry);
    const client = new Client(url.value, { tenant: tenant.value, ticket: ticket.value, WebSocket: logging(log) });
    this.#client = client;
    client.on("state", ({ state, reason }) => {
      if (client !== this.#client) return;
      this.state.textContent = state === "closed" && reason ? `closed (${reason.code} ${reason.reason})` : state;
      this.state.dataset.state = state;
    });
    client.on("error", (error) => this.#note("!", null, 0, String(error.message ?? error)));
    await client.connect();
  }

  #close() {
    this.#client?.close();
    this.#rooms.clear();
    this.#sent.clear();
  }

  #connected() {
    if (!this.#client || this.#client.state === "closed") throw new Error("Connect first.");
    return this.#client;
  }

  async #join() {
    const client = this.#connected();
    const room = client.room(this.#inputs.room.value);
    room.on("error", () => {}); // the log shows it
    this.#rooms.set(room.name, room);
    await room.joined();
  }

  async #leave() {
    const name = this.#inputs.room.value;
    const room = this.#rooms.get(name);
    if (!room) throw new Error(`This client has not joined ${name}.`);
    this.#rooms.delete(name);
    await room.leave();
  }

  /** Into the room of the field `Room` where it has joined it, else to the service without a room. */
  async #send() {
    const { room, service, type, data } = this.#inputs;
    const said = parseData(data.value);
    const joined = this.#rooms.get(room.value);
    if (joined) await joined.publish(type.value, said, { svc: service.value });
    else await this.#connected().publish(service.value, type.value, said);
  }

  #sendFrame() {
    const { room, frame } = this.#inputs;
    const { service, opcode, payload } = takeApart(parseFrame(frame.value));
    this.#connected();
    const joined = this.#rooms.get(room.value);
    if (!joined) throw new Error("A frame goes into a room: join it first.");
    if (!joined.hot(service, opcode, payload)) throw new Error("The frame was dropped: the client is not in the room now.");
  }

  /** One frame in the log; an answer says how long it took. */
  #note(direction, frame, length, text) {
    let latency = null;
    if (frame?.seq !== undefined && direction === "→") {
      this.#sent.set(frame.seq, performance.now());
      if (this.#sent.size > MOST_WAITING) this.#sent.delete(this.#sent.keys().next().value);
    } else if (this.#sent.has(frame?.seq)) {
      latency = performance.now() - this.#sent.get(frame.seq);
      this.#sent.delete(frame.seq);
    }
    const meta = [h("time", {}, clock()), ` ${direction} `, length ? bytes(length) : "", latency === null ? "" : `, after ${milliseconds(latency)}`];
    const kind = { "→": "out", "←": "in", "!": "wrong" }[direction];
    this.#log.add(h("li", { class: kind }, h("span", { class: "meta" }, meta), " ", h("code", {}, text)));
  }
}

function input(name, value) {
  if (name === "data") return h("textarea", { rows: 2, spellcheck: "false" }, value);
  const required = ["url", "tenant", "ticket", "room", "service", "type"].includes(name);
  return h("input", { value, required, autocomplete: "off", spellcheck: "false", placeholder: name === "frame" ? "02 01 00 u16 500" : null });
}

/** A WebSocket that tells `note` of every message, in both directions. */
function logging(note) {
  return class extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols);
      note("→", null, 0, `connecting to ${url}`);
      this.addEventListener("message", ({ data }) => note("←", ...read(data)));
      this.addEventListener("close", ({ code, reason }) => note("←", null, 0, `closed ${code} ${reason}`));
    }

    send(data) {
      note("→", ...read(data));
      super.send(data);
    }
  };
}

function read(data) {
  if (typeof data !== "string") {
    const raw = data instanceof ArrayBuffer ? new Uint8Array(data) : data;
    return [null, raw.length, hex(raw)];
  }
  const message = JSON.parse(data);
  return [message, size(data), json(message)];
}
