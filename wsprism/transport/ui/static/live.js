/** What is said in a room, as it is said: the room's tail, opened again whenever it is lost. */

import { h, named, show } from "./dom.js";
import { bytes, clock, json, size } from "./format.js";
import { hex } from "./frames.js";

const MOST_SHOWN = 200;
const AGAIN_MS = 1000;
const MOST_AGAIN_MS = 15_000;
const HIDDEN_MS = 200;

/** `remembered` is called, not too often, when something was said that has its place in the history. */
export function live({ app, tenant, name, left }, remembered) {
  const state = h("p", { class: "hint", role: "status" }, "connecting");
  const list = h("ol", { class: "log", "aria-label": "Live messages", tabindex: 0 });
  const log = new Log(list);
  let socket;
  let waitMs = AGAIN_MS;
  let asked = false;
  const open = () => {
    if (left.aborted) return;
    socket = app.api.tail(tenant, name);
    socket.onopen = () => {
      waitMs = AGAIN_MS;
      state.textContent = "listening";
    };
    socket.onmessage = ({ data }) => {
      const entry = read(data);
      log.add(entry.element);
      if (entry.offset === undefined || asked) return;
      asked = true;
      setTimeout(() => {
        asked = false;
        if (!left.aborted) remembered();
      }, AGAIN_MS);
    };
    socket.onclose = ({ code, reason }) => {
      if (left.aborted) return;
      state.textContent = code === 1006 ? "not connected; trying again" : `closed (${code} ${reason}); trying again`;
      setTimeout(open, waitMs);
      waitMs = Math.min(MOST_AGAIN_MS, waitMs * 2);
    };
  };
  left.addEventListener("abort", () => socket?.close());
  open();
  return h("section", {}, h("h2", {}, "Live"), state, list);
}

/** A list with the newest on top, drawn once a frame however much comes. */
export class Log {
  #list;
  #waiting = [];
  #drawing = false;

  constructor(list) {
    this.#list = list;
  }

  add(element) {
    this.#waiting.push(element);
    if (this.#waiting.length > MOST_SHOWN) this.#waiting.shift();
    if (this.#drawing) return;
    this.#drawing = true;
    const soon = document.hidden ? (draw) => setTimeout(draw, HIDDEN_MS) : requestAnimationFrame; // which hidden tabs do not have
    soon(() => this.#draw());
  }

  clear() {
    this.#waiting = [];
    show(this.#list);
  }

  #draw() {
    this.#drawing = false;
    this.#list.prepend(...this.#waiting.splice(0).reverse());
    while (this.#list.childElementCount > MOST_SHOWN) this.#list.lastElementChild.remove();
  }
}

function read(data) {
  if (typeof data !== "string") {
    const raw = new Uint8Array(data);
    return { element: entry("hot", bytes(raw.length), hex(raw)) };
  }
  const { svc, type, offset, data: said } = JSON.parse(data);
  const title = [named(`${svc}.${type}`), offset === undefined ? "" : ` at ${offset}`];
  return { offset, element: entry(title, bytes(size(data)), json(said)) };
}

const entry = (title, length, text) =>
  h("li", {}, h("span", { class: "meta" }, h("time", {}, clock()), " ", h("b", {}, title), " ", length), " ", h("code", {}, text));
