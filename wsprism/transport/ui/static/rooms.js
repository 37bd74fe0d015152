/** A tenant's rooms, page by page; one is found by its exact name, also when nobody is in it. */

import { path } from "./api.js";
import { address } from "./address.js";
import { h, named, table } from "./dom.js";
import { pagedList } from "./views.js";

const PAGE = 100;

export function rooms(app, root, given) {
  pagedList(app, root, given, {
    view: "rooms",
    what: "rooms",
    hint: "exact name of a room",
    page: async (tenant, search, cursor) => {
      if (search === "") return app.api.get(path(tenant, "rooms"), { limit: PAGE, cursor });
      const { room, users, sessions } = await app.api.get(path(tenant, "rooms", search), { limit: 1 });
      return { items: [{ room, users, sessions }], next_cursor: null };
    },
    make: (tenant, items) =>
      items.length
        ? table("Rooms", ["Room", "Users", "Sessions"], items.map((one) => row(tenant, one)))
        : h("p", { class: "hint" }, "Nobody is in a room."),
  });
}

const row = (tenant, { room, users, sessions }) => [
  h("a", { href: address("room", { tenant, room }) }, named(room)),
  users,
  sessions || "nobody is in it",
];
