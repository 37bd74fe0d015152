/** What several views have in common: looking again and again, and lists in pages. */

import { path } from "./api.js";
import { address } from "./address.js";
import { button, h, show } from "./dom.js";
import { clear, warn } from "./notices.js";

const EVERY_MS = 3000;
const PAGE = 100;
const MOST_CHOSEN = 1000;

/**
 * Call `look(force)` now and again `ms` after each end, until the view is left. What it throws is shown once, then
 * waited out. Gives the function that looks at once, by force: whoever asks for it wants to see what is new.
 */
export function again(ms, left, look) {
  let timer;
  let failing = false;
  let round = 0;
  const next = async (force = false) => {
    clearTimeout(timer);
    const mine = ++round;
    const isLast = () => mine === round && !left.aborted;
    try {
      const put = await look();
      if (!isLast()) return;
      put(force);
      if (failing) clear();
      failing = false;
    } catch (error) {
      if (!isLast()) return;
      if (!failing || force) warn(error);
      failing = true;
    }
    timer = setTimeout(next, ms);
  };
  left.addEventListener("abort", () => clearTimeout(timer));
  next();
  return () => next(true);
}

/** Show what `make` gives unless `data` is as before; without `force` nothing is taken from under the focus. */
export function update(parent, data, make, force = false) {
  const text = JSON.stringify(data);
  if (parent.shownData === text) return;
  const hasFocus = parent.contains(document.activeElement);
  if (hasFocus && !force) return;
  parent.shownData = text;
  show(parent, make());
  if (hasFocus) parent.querySelector("a, button")?.focus();
}

/** The tenant that a view is about: the address's, the last one, or the key's first. Null: there is none. */
export async function tenantOf(app, parameters) {
  app.tenant = parameters.tenant ?? app.tenant ?? (await app.api.get("/v1/tenants", { limit: 1 })).items[0]?.tenant ?? null;
  return app.tenant;
}

/**
 * A list of one tenant's, in pages, with a search. `page(tenant, search, cursor)` asks for one; `make(tenant, items,
 * look)` shows it; `beside(tenant, look)` stands above it.
 */
export async function pagedList(app, root, { parameters, left }, { view, what, hint, page, make, beside = () => null }) {
  const at = { search: parameters.search ?? "", cursor: parameters.cursor ?? null };
  const list = h("div", {});
  const below = h("div", { class: "pager" });
  let tenant;
  try {
    tenant = await tenantOf(app, parameters);
    if (tenant === null) return show(root, h("p", {}, "There is no tenant."));
    const choice = await tenantChoice(app, view);
    const go = (to) => {
      Object.assign(at, to);
      app.remember({ tenant, ...at });
      look();
    };
    const search = searchBox(at.search, hint, (text) => go({ search: text.trim(), cursor: null }));
    const look = again(EVERY_MS, left, async () => {
      const answer = await page(tenant, at.search, at.cursor);
      return (force) => {
        update(list, answer, () => make(tenant, answer.items, look), force);
        update(below, [answer.items.length, answer.next_cursor, at], () => pager(what, answer, at.cursor, go), force);
      };
    });
    if (!left.aborted) show(root, h("div", { class: "bar" }, choice, search), beside(tenant, look), list, below);
  } catch (error) {
    if (!left.aborted) warn(error);
  }
}

/** The buttons below a list. */
export function pager(what, { items, next_cursor }, cursor, go) {
  return [
    h("span", { class: "hint" }, `${items.length} ${what}${cursor ? " on this page" : next_cursor ? ", and more" : ""}`),
    cursor && button("First", () => go({ cursor: null })),
    next_cursor && button("Next", () => go({ cursor: next_cursor })),
  ];
}

/** A choice between the tenants, which goes to `view` of another one. */
async function tenantChoice(app, view) {
  const { items } = await app.api.get("/v1/tenants", { limit: MOST_CHOSEN });
  const names = items.map((one) => one.tenant);
  if (!names.includes(app.tenant)) names.unshift(app.tenant);
  const choice = h(
    "select",
    { "aria-label": "Of tenant", onchange: () => (location.hash = address(view, { tenant: choice.value })) },
    names.map((name) => h("option", { value: name, selected: name === app.tenant }, name)),
  );
  return choice;
}

/** A field that searches on Enter. */
function searchBox(value, hint, search) {
  const box = h("input", {
    type: "search",
    role: "searchbox",
    "aria-label": "Search",
    placeholder: hint,
    value,
    maxlength: 300,
    onkeydown: (event) => event.key === "Enter" && search(box.value),
    onsearch: () => box.value === "" && search(""),
  });
  return box;
}

export const roomsOf = (tenant, ...names) => path(tenant, "rooms", ...names);
