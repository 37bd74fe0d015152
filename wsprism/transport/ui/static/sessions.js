/** A tenant's sessions, page by page, found by user, sid or room; what is done to one; tickets for new ones. */

import { path } from "./api.js";
import { address } from "./address.js";
import { button, field, h, named, show, table } from "./dom.js";
import { bytes, when } from "./format.js";
import { act } from "./notices.js";
import { pagedList } from "./views.js";

const PAGE = 100;
const MOST_ROOMS = 5;
const TICKET_S = 300;
const COLUMNS = ["User", "Sid", "Since", "Address", "Rooms", "Waiting", "Details"];

export function sessions(app, root, given) {
  pagedList(app, root, given, {
    view: "sessions",
    what: "sessions",
    hint: "exact user, sid or room",
    page: (tenant, search, cursor) =>
      search === "" ? app.api.get(path(tenant, "sessions"), { limit: PAGE, cursor }) : found(app, tenant, search),
    make: (tenant, items, look) =>
      items.length
        ? table("Sessions", app.mayWrite ? [...COLUMNS, "Actions"] : COLUMNS, items.map((one) => row(app, tenant, one, look)))
        : h("p", { class: "hint" }, "There are no sessions."),
    beside: (tenant) => (app.mayWrite ? ticketForm(app, tenant) : null),
  });
}

/** Whoever the words may name: the first page of each. */
async function found(app, tenant, words) {
  const ask = async (query) => {
    try {
      return (await app.api.get(path(tenant, "sessions"), { limit: PAGE, ...query })).items;
    } catch (error) {
      if (error.status === 400) return []; // it can be no such name
      throw error;
    }
  };
  const all = (await Promise.all([ask({ user: words }), ask({ sid: words }), ask({ room: words })])).flat();
  return { items: [...new Map(all.map((one) => [one.generation, one])).values()], next_cursor: null };
}

function row(app, tenant, one, look) {
  const cells = [
    named(one.user),
    named(one.sid),
    when(one.since),
    one.address,
    roomLinks(tenant, one),
    waiting(one.queue),
    details(one),
  ];
  if (!app.mayWrite) return cells;
  const who = `the session ${one.sid} of ${one.user}`;
  const disconnect = () =>
    act(
      "Disconnect",
      `Close ${who}. Its client is told not to come back by itself.`,
      () => app.api.post(`${path(tenant)}/disconnect`, { user: one.user, sid: one.sid, reason: "disconnected by an operator" }),
      ({ sessions }) => `Disconnected: ${sessions}.`,
      { danger: true },
    ).then((done) => done && look());
  const revoke = () =>
    act(
      "Revoke",
      `Close every session of ${one.user}, and let nobody in with a ticket of this user for an hour.`,
      () => app.api.post(`${path(tenant)}/revoke`, { user: one.user, reason: "revoked by an operator" }),
      ({ sessions }) => `Revoked; sessions closed: ${sessions}.`,
      { danger: true },
    ).then((done) => done && look());
  return [...cells, h("div", { class: "buttons" }, button("Disconnect", disconnect), button("Revoke", revoke, { class: "danger" }))];
}

function roomLinks(tenant, { rooms, active_room: active }) {
  const shown = rooms.slice(0, MOST_ROOMS).map((room) => [
    h("a", { href: address("room", { tenant, room }), class: room === active ? "active" : null }, named(room)),
    " ",
  ]);
  return [shown, rooms.length > MOST_ROOMS && `and ${rooms.length - MOST_ROOMS} more`, !rooms.length && "none"];
}

function waiting(queue) {
  if (!queue) return "not known on this node";
  const lanes = Object.entries(queue).filter(([, { messages }]) => messages);
  return lanes.length ? lanes.map(([lane, one]) => `${lane}: ${one.messages} (${bytes(one.bytes)}) `) : "nothing";
}

function details(one) {
  const said = { node: one.node, generation: one.generation, active_room: one.active_room, metadata: one.metadata, info: one.info };
  return h("details", {}, h("summary", {}, "more"), h("pre", {}, JSON.stringify(said, null, 1)));
}

function ticketForm(app, tenant) {
  const user = h("input", { required: true, maxlength: 255, autocomplete: "off", placeholder: "ann" });
  const minted = h("div", {});
  const mint = async (event) => {
    event.preventDefault();
    const body = { user: user.value, ttl_s: TICKET_S };
    await act(
      "Mint ticket",
      `A ticket that lets ${user.value} in once, within ${TICKET_S / 60} minutes.`,
      () => app.api.post(`${path(tenant)}/tickets`, body),
      ({ ticket, expires_at: end }) => {
        show(minted, h("p", {}, "Ticket, until ", when(end), ": ", h("code", { class: "ticket" }, ticket)));
        return "The ticket is minted.";
      },
    );
  };
  return h(
    "form",
    { class: "bar", onsubmit: mint },
    field("User", user),
    h("button", { type: "submit" }, "Mint ticket"),
    minted,
  );
}
