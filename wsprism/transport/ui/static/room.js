/** One room: who is in it, what it remembers, what is said now; publishing into it. */

import { path } from "./api.js";
import { address } from "./address.js";
import { button, field, h, named, show, table } from "./dom.js";
import { json, parseData, when } from "./format.js";
import { base64, HELP, parseFrame } from "./frames.js";
import { live } from "./live.js";
import { act, warn } from "./notices.js";
import { again, pager, update } from "./views.js";

const EVERY_MS = 3000;
const MEMBERS = 50;
const REMEMBERED = 20;

export function room(app, root, { parameters, heading, left }) {
  const { tenant, room: name } = parameters;
  if (!tenant || !name) return show(root, h("p", {}, "The address names no room."));
  show(heading, named(name));
  const of = h("p", {}, "A room of ", h("a", { href: address("rooms", { tenant }) }, named(tenant)));
  let base;
  try {
    base = path(tenant, "rooms", name);
  } catch (error) {
    return show(root, of, h("p", { role: "alert" }, error.message));
  }
  const here = { app, tenant, name, base, left };
  const [membersPart, lookAtMembers] = members(here);
  const [historyPart, lookAtHistory] = history(here);
  const parts = h("div", { class: "columns" }, live(here, lookAtHistory), membersPart, presence(here), historyPart);
  show(root, of, app.mayWrite ? publishing(here, lookAtMembers) : null, parts);
}

function part(title) {
  const body = h("div", {});
  return [h("section", {}, h("h2", {}, title), body), body];
}

function members({ app, tenant, name, base, left }) {
  const [section, body] = part("Members");
  const list = h("div", {});
  const below = h("div", { class: "pager" });
  show(body, list, below);
  let cursor = null;
  const go = (to) => {
    ({ cursor } = to);
    look();
  };
  const remove = ({ user, sid }) =>
    act(
      "Remove from room",
      `Take the session ${sid} of ${user} out of the room ${name}.`,
      () => app.api.call("DELETE", `${base}/members`, { user, sid }),
      ({ sessions }) => `Removed from the room: ${sessions}.`,
      { danger: true },
    ).then((done) => done && look());
  const row = (one) => [
    h("a", { href: address("sessions", { tenant, search: one.user }) }, named(one.user)),
    named(one.sid),
    ...(app.mayWrite ? [button("Remove from room", () => remove(one))] : []),
  ];
  const columns = ["User", "Sid", ...(app.mayWrite ? ["Action"] : [])];
  const look = again(EVERY_MS, left, async () => {
    const page = await app.api.get(base, { limit: MEMBERS, cursor });
    return (force) => {
      const make = () => [
        h("p", { class: "hint" }, page.sessions ? `${page.users} users with ${page.sessions} sessions` : "Nobody is in it."),
        page.items.length ? table("Members", columns, page.items.map(row)) : null,
      ];
      update(list, page, make, force);
      update(below, [page.items.length, page.next_cursor, cursor], () => pager("sessions", page, cursor, go), force);
    };
  });
  return [section, look];
}

function presence({ app, base, left }) {
  const [section, body] = part("Presence");
  again(EVERY_MS, left, async () => {
    const listing = await orNone(app.api.get(`${base}/presence`));
    return () => update(body, listing, () => (listing ? present(listing) : none("This room has no presence.")));
  });
  return section;
}

function present({ users, total_users: all, truncated }) {
  const rows = Object.entries(users).flatMap(([user, sessions]) =>
    sessions.map((one) => [named(user), named(one.sid), when(one.since), json(one.info), json(one.state)]),
  );
  if (!rows.length) return none("Nobody is present.");
  return [
    truncated && none(`The first of ${all} users.`),
    table("Presence", ["User", "Sid", "Since", "Info", "State"], rows),
  ];
}

function history({ app, base, left }) {
  const [section, body] = part("History");
  const list = h("div", {});
  const below = h("div", { class: "pager" });
  show(body, list, below);
  let before = null;
  const look = again(EVERY_MS, left, async () => {
    const page = await orNone(app.api.get(`${base}/history`, { limit: REMEMBERED, reverse: true, since_offset: before }));
    return (force) => {
      update(list, page, () => (page ? remembered(page) : none("This room keeps no history.")), force);
      update(below, [page?.items.at(-1)?.offset, page?.more, before], () => [
        before !== null && button("Newest", () => go(null)),
        page?.more && button("Older", () => go(page.items.at(-1).offset)),
      ], force);
    };
  });
  const go = (offset) => {
    before = offset;
    look();
  };
  return [section, look];
}

const remembered = ({ items, epoch, offset }) => [
  none(epoch ? `Epoch ${epoch}, at offset ${offset}` : "Nothing was kept yet."),
  items.length
    ? table("History", ["Offset", "Time", "Message", "Data"], items.map((one) => [
        one.offset, when(one.time), `${one.svc}.${one.type}`, h("code", {}, json(one.data)),
      ]))
    : null,
];

function publishing({ app, name, base }, published) {
  const service = h("input", { value: "chat", required: true, maxlength: 64, autocomplete: "off" });
  const type = h("input", { value: "msg", required: true, maxlength: 64, autocomplete: "off" });
  const data = h("textarea", { rows: 2, spellcheck: "false", placeholder: '{"msg": "hi"}' });
  const frame = h("input", { autocomplete: "off", spellcheck: "false", placeholder: "01 07 00 u16 500", class: "wide" });
  const publish = async (what, make) => {
    let body;
    try {
      body = make();
    } catch (error) {
      return warn(error);
    }
    const told = ({ members, offset }) => `Published to ${members} sessions${offset === undefined ? "" : `, offset ${offset}`}.`;
    if (await act(what, `Publish into the room ${name}.`, () => app.api.post(`${base}/publish`, body), told)) published();
  };
  const message = () => ({ svc: service.value, type: type.value, ...(data.value.trim() && { data: parseData(data.value) }) });
  const submit = (what, make) => (event) => {
    event.preventDefault();
    publish(what, make);
  };
  return h(
    "div",
    { class: "publishing" },
    h(
      "form",
      { class: "bar", onsubmit: submit("Publish", message) },
      field("Service", service),
      field("Type", type),
      field("Data", data),
      h("button", { type: "submit" }, "Publish"),
    ),
    h(
      "form",
      { class: "bar", onsubmit: submit("Publish frame", () => ({ hot: base64(parseFrame(frame.value)) })) },
      field("Frame", frame, HELP),
      h("button", { type: "submit" }, "Publish frame"),
    ),
  );
}

const none = (text) => h("p", { class: "hint" }, text);

/** What a room does not have is null. */
async function orNone(asked) {
  try {
    return await asked;
  } catch (error) {
    if (error.status === 409) return null;
    throw error;
  }
}
