/** The page: signing in, the frame around the views, and which view the address names. */

import { address, read } from "./address.js";
import { Api } from "./api.js";
import { button, field, h, named, show } from "./dom.js";
import { tools } from "./gateway.js";
import { clear, notices, warn } from "./notices.js";
import { overview } from "./overview.js";
import { playground } from "./playground.js";
import { room } from "./room.js";
import { rooms } from "./rooms.js";
import { sessions } from "./sessions.js";
import { tenants } from "./tenants.js";

const VIEWS = { overview, tenants, rooms, room, sessions, playground };
const LINKS = ["Overview", "Tenants", "Rooms", "Sessions", "Playground"];
const STORED = "wsprism-key";

/** What every view gets: `api`, `key` ({name, tenants, read_only}), `tenant` (the one last looked at). */
class App {
  tenant = null;
  #leave = new AbortController();
  #shown = null;

  constructor(api, key) {
    this.api = api;
    this.key = key;
    this.mayWrite = !key.read_only;
    this.isOperator = key.tenants === "all";
    this.main = h("main", { id: "main" });
    this.links = LINKS.map((name) => h("a", { href: `#/${name.toLowerCase()}` }, name));
  }

  start() {
    const signOut = button("Sign out", () => {
      sessionStorage.removeItem(STORED);
      location.reload();
    });
    const who = h("span", { class: "who", title: "the key's name" }, named(this.key.name), this.key.read_only && " (read-only)");
    show(
      document.body,
      h(
        "header",
        {},
        h("img", { src: "icon.svg", alt: "", width: 28, height: 28 }),
        h("nav", { "aria-label": "Views" }, this.links),
        h("div", { class: "tools" }, this.mayWrite && this.isOperator ? tools(this) : [], who, signOut),
      ),
      this.main,
      notices(),
    );
    addEventListener("hashchange", () => this.#route());
    this.#route();
  }

  /** Put other parameters into the address, without showing the view anew. */
  remember(parameters, { replace = false } = {}) {
    const url = address(this.#shown, parameters);
    if (replace) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
  }

  #route() {
    const { view: name, parameters } = read(location.hash);
    const view = Object.hasOwn(VIEWS, name) ? name : "overview";
    this.#leave.abort();
    this.#leave = new AbortController();
    this.tenant = parameters.tenant ?? this.tenant;
    const moved = this.#shown !== null && this.#shown !== view;
    this.#shown = view;
    for (const link of this.links) {
      const here = link.textContent.toLowerCase() === view || (view === "room" && link.textContent === "Rooms");
      here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
    }
    clear();
    const heading = h("h1", { tabindex: -1 }, view[0].toUpperCase() + view.slice(1));
    document.title = `${heading.textContent} · wsPrism`;
    const root = h("div", { class: `view ${view}` });
    show(this.main, heading, root);
    VIEWS[view](this, root, { parameters, heading, left: this.#leave.signal });
    if (moved) heading.focus();
  }
}

function askForKey() {
  const key = h("input", { type: "password", autocomplete: "off", required: true, autofocus: true });
  const remember = h("input", { type: "checkbox" });
  const wrong = h("div", {});
  const form = h(
    "form",
    {
      class: "sign-in",
      onsubmit: (event) => {
        event.preventDefault();
        show(wrong);
        signIn(key.value, remember.checked).catch((error) => {
          const text = error.status === 401 ? "This is not a good key." : error.message;
          show(wrong, h("p", { role: "alert" }, text));
          key.focus();
          key.select();
        });
      },
    },
    h("h1", {}, "wsPrism"),
    field("API key", key, "one of gateway.internal.api_keys"),
    h("div", { class: "check" }, h("label", {}, remember, " Remember"), h("small", { class: "hint" }, "as long as this tab is open")),
    wrong,
    h("button", { type: "submit", class: "primary" }, "Sign in"),
  );
  show(document.body, h("main", {}, form));
  key.focus();
}

async function signIn(secret, remember) {
  const api = new Api(secret.trim());
  const key = await api.get("/v1/key");
  if (remember) sessionStorage.setItem(STORED, secret.trim());
  new App(api, key).start();
}

const stored = sessionStorage.getItem(STORED);
if (stored === null) askForKey();
else {
  signIn(stored, true).catch((error) => {
    if (error.status === 401) sessionStorage.removeItem(STORED);
    askForKey();
    warn(error);
    document.body.append(notices());
  });
}
