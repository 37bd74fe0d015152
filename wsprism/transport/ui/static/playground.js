/** Clients side by side, as a page of anybody's would have them: the SDK on the public listener. */

import { address } from "./address.js";
import { button, h, show } from "./dom.js";
import { PlaygroundClient } from "./client.js";
import { say, warn } from "./notices.js";
import { tenantOf } from "./views.js";

const MOST_CLIENTS = 8;
const MOST_LENGTH = 2000;

/** Clients live on while other views are looked at. */
let kept;

export function playground(app, root, { parameters }) {
  kept ??= new Playground(app);
  if (parameters.s) kept.restore(parameters.s);
  show(root, kept.element);
}

class Playground {
  #app;
  #clients = new Set();
  #numbers = 0;
  #restored;
  #url = "";

  constructor(app) {
    this.#app = app;
    this.list = h("div", { class: "clients" });
    this.hint = h("p", { class: "hint" }, "Each client connects to the public listener with the JavaScript SDK, as a page would.");
    this.element = h("div", {}, h("div", { class: "bar" }, button("Add client", () => this.add(), { class: "primary" })), this.hint, this.list);
    const asked = [fetch("listener.json").then((answer) => answer.json()), tenantOf(app, {})];
    Promise.all(asked).then(([{ url }]) => {
      this.#url = url ?? "";
      for (const client of this.#clients) client.offer({ url: this.#url, tenant: app.tenant ?? "" });
    }, warn);
  }

  add(fields = {}) {
    if (this.#clients.size >= MOST_CLIENTS) return warn(`There are ${MOST_CLIENTS} clients already.`);
    const given = { url: this.#url, tenant: this.#app.tenant ?? "", ...fields };
    const client = new PlaygroundClient(++this.#numbers, given, {
      link: () => this.link(),
      remove: () => {
        this.#clients.delete(client);
        client.element.remove();
      },
    });
    this.#clients.add(client);
    this.list.append(client.element);
    return client;
  }

  /** Put what stands in the fields into the address. Tickets are secrets, and left out; dev tickets are not. */
  link() {
    const scenario = [...this.#clients].map((client) => client.fields());
    const raw = new TextEncoder().encode(JSON.stringify(scenario));
    const s = btoa(String.fromCharCode(...raw)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    this.#restored = s;
    this.#app.remember({ s }, { replace: true });
    say("The scenario stands in the address: it can be kept and sent.");
  }

  /** The clients that a link describes, not yet connected. What it says is somebody's, and nothing is done with it. */
  restore(s) {
    if (s === this.#restored) return;
    this.#restored = s;
    try {
      const raw = atob(s.replaceAll("-", "+").replaceAll("_", "/"));
      const scenario = JSON.parse(new TextDecoder().decode(Uint8Array.from(raw, (one) => one.charCodeAt(0))));
      if (!Array.isArray(scenario)) throw new TypeError();
      for (const fields of scenario.slice(0, MOST_CLIENTS)) {
        const texts = Object.entries(fields).filter(([, value]) => typeof value === "string" && value.length <= MOST_LENGTH);
        this.add(Object.fromEntries(texts));
      }
    } catch {
      warn("The link holds no scenario.");
    }
  }
}
