/** What the page has to say: a line for what was done, an alert for what went wrong, and questions before things happen. */

import { button, h, show } from "./dom.js";

const SHOWN_MS = 8000;

const place = h("div", { class: "notices" });
let timer;

/** The element that holds notices; one on the page. */
export const notices = () => place;

/** Say what was done; it goes by itself. */
export function say(text, ...more) {
  put("status", text, more);
  timer = setTimeout(clear, SHOWN_MS);
}

/** Say what went wrong; it stays until it is closed or something else is said. */
export function warn(error) {
  put("alert", error instanceof Error ? error.message : String(error), []);
}

export function clear() {
  clearTimeout(timer);
  show(place);
}

function put(role, text, more) {
  clear();
  place.append(h("div", { class: "notice", role }, h("p", {}, text), more, button("Close", clear, { class: "quiet" })));
}

/** Ask before something is done. Resolves to whether it shall be. */
export function confirm(title, text, { danger = false } = {}) {
  return new Promise((resolve) => {
    let answer = false;
    const close = (value) => {
      answer = value;
      dialog.close();
    };
    const yes = button("Confirm", () => close(true), { class: danger ? "danger" : "primary", autofocus: !danger });
    const no = button("Cancel", () => close(false), { autofocus: danger });
    const dialog = h(
      "dialog",
      { role: "dialog", "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" },
      h("h2", { id: "dialog-title" }, title),
      h("p", { id: "dialog-text" }, text),
      h("div", { class: "buttons" }, no, yes),
    );
    const before = document.activeElement;
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus?.();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Ask, do, and say how it went. Resolves to whether it was done. */
export async function act(title, text, doIt, done, options) {
  if (!(await confirm(title, text, options))) return false;
  try {
    const answer = await doIt();
    const said = done(answer);
    say(...(Array.isArray(said) ? said : [said]));
    return true;
  } catch (error) {
    warn(error);
    return false;
  }
}
