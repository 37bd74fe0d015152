/** The tenants that the key may touch; each leads to its rooms. */

import { address } from "./address.js";
import { h, named, show, table } from "./dom.js";
import { bytes, short } from "./format.js";
import { again, pager, update } from "./views.js";

const EVERY_MS = 3000;
const PAGE = 100;
const COLUMNS = ["Tenant", "Sessions", "Rooms", "In", "Out", "Bytes in", "Bytes out"];

export function tenants(app, root, { parameters, left }) {
  let cursor = parameters.cursor ?? null;
  const list = h("div", {});
  const below = h("div", { class: "pager" });
  show(root, list, below);
  const go = (to) => {
    ({ cursor } = to);
    app.remember({ cursor });
    look();
  };
  const look = again(EVERY_MS, left, async () => {
    const page = await app.api.get("/v1/tenants", { limit: PAGE, cursor });
    return (force) => {
      update(list, page, () => table("Tenants", COLUMNS, page.items.map(row)), force);
      update(below, [page.items.length, page.next_cursor, cursor], () => pager("tenants", page, cursor, go), force);
    };
  });
}

const row = (one) => [
  h("a", { href: address("rooms", { tenant: one.tenant }) }, named(one.tenant)),
  bounded(one.sessions, one.limits.max_sessions_total),
  bounded(one.rooms, one.limits.max_rooms_total),
  `${short(one.rates.messages_in_per_s)}/s`,
  `${short(one.rates.messages_out_per_s)}/s`,
  `${bytes(one.rates.bytes_in_per_s)}/s`,
  `${bytes(one.rates.bytes_out_per_s)}/s`,
];

const bounded = (count, limit) => (limit ? `${count} of ${limit}` : String(count));
