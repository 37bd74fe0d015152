/** The nodes that share a broker, side by side. One process alone has none beside it, and shows nothing. */

import { h, named, table } from "./dom.js";
import { milliseconds, short } from "./format.js";
import { again, update } from "./views.js";

const EVERY_MS = 2000;
const AWAY = 503;
const COLUMNS = ["Node", "Connections", "Lease age", "Version", "Configuration"];

/** Asked apart from the figures, which must not wait while the broker is away. */
export function nodes(app, root, left) {
  again(EVERY_MS, left, async () => {
    const { items, away } = await ask(app);
    if (away) return () => update(root, away, () => [heading(), h("p", { class: "banner" }, away)]);
    if (!items) return () => {};
    const alone = items.length === 1 && items[0].incarnation === 0;
    return () => update(root, alone ? [] : items, () => (alone ? [] : panel(items)));
  });
}

/** `items`, or why there are none; neither where the gateway does not answer, which the figures tell. */
async function ask(app) {
  try {
    return await app.api.get("/v1/nodes");
  } catch (error) {
    return error.status === AWAY ? { away: `The nodes are not known now. ${error.message}` } : {};
  }
}

const heading = () => h("h2", {}, "Nodes");
const count = (number, what) => `${short(number)} ${what}${number === 1 ? "" : "s"}`;

const verdicts = { silent: "hint", differs: "differs", same: "good" }; // and how each looks
const verdict = (one) => (one.silent ? "silent" : one.differs ? "differs" : "same");

function panel(items) {
  const connections = items.reduce((sum, one) => sum + one.connections, 0);
  const differing = items.filter((one) => one.differs).length;
  const rows = items.map((one) => [
    one.draining ? [named(one.name), " ", h("span", { class: "hint" }, "draining")] : named(one.name),
    short(one.connections),
    milliseconds(one.lease_age_ms),
    one.version,
    [h("span", { class: verdicts[verdict(one)] }, verdict(one)), " ", h("code", {}, one.configuration_hash)],
  ]);
  return [
    heading(),
    h("p", { class: "hint" }, `${count(items.length, "node")}, ${count(connections, "connection")}`),
    differing > 0 && h("p", { class: "banner" }, `${differing} of ${items.length} differ from the configuration of most.`),
    table("Nodes", COLUMNS, rows),
  ];
}
