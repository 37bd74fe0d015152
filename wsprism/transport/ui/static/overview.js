/** What the gateway does: figures now and their last five minutes, its state, its nodes, its tenants' backends. */

import { line } from "./chart.js";
import { h, named, show, table } from "./dom.js";
import { bytes, duration, milliseconds, short } from "./format.js";
import { nodes } from "./nodes.js";
import { again, update } from "./views.js";

const EVERY_MS = 2000;
const SHOWN_POINTS = 150;

const perSecond = (value) => `${short(value)}/s`;
const FIGURES = [
  ["Connections", "connections", short],
  ["Messages in", "messages_in_per_s", perSecond],
  ["Deliveries out", "deliveries_out_per_s", perSecond],
  ["Drops", "drops_per_s", perSecond],
  ["Refusals", "refusals_per_s", perSecond],
  ["Loop lag", "loop_lag_s", (value) => milliseconds(value * 1000)],
  ["Memory", "memory_bytes", bytes],
  ["CPU", "cpu", (value) => `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`],
];

export function overview(app, root, { left }) {
  const figures = h("dl", { class: "figures" });
  const about = h("div", {});
  const others = h("div", { class: "nodes" });
  const backends = h("div", {});
  show(root, figures, about, others, backends);
  if (app.isOperator) {
    nodes(app, others, left);
    again(EVERY_MS, left, async () => {
      const [info, stats] = await Promise.all([app.api.get("/v1/info"), app.api.get("/v1/stats")]);
      return () => {
        show(figures, FIGURES.map(([name, column, write]) => figure(name, stats.points[column], write)));
        update(about, { ...info, uptime_s: duration(info.uptime_s) }, () => process(info));
        update(backends, stats.backends, () => backendsTable(stats.backends));
      };
    });
  } else {
    ofTenants(app, figures, about, left);
  }
}

function figure(name, values, write) {
  const now = values.at(-1) ?? 0;
  return h(
    "div",
    { class: "figure" },
    h("dt", {}, name),
    h("dd", {}, write(now)),
    h("dd", { class: "peak" }, line(values, SHOWN_POINTS), h("small", {}, `at most ${write(Math.max(...values, 0))} in 5 min`)),
  );
}

function process(info) {
  const rows = [
    ["Draining", info.draining ? "yes" : "no"],
    ["Configuration hash", `${info.configuration_hash} (generation ${info.configuration_generation})`],
    ["Version", `${info.version}, Python ${info.build.python}, ${info.build.loop}${info.build.compiled ? ", compiled" : ""}`],
    ["Up for", duration(info.uptime_s)],
    ["Tenants", String(info.tenants)],
  ];
  return [
    h("h2", {}, "Gateway"),
    info.draining && h("p", { class: "banner" }, "This gateway is draining: its clients are told to come back later."),
    h("dl", { class: "facts" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
  ];
}

function backendsTable(backends) {
  const heading = h("h2", {}, "Backends");
  if (!backends.length) return [heading, h("p", { class: "hint" }, "No tenant has a backend.")];
  const columns = ["Tenant", "State", "Streams", "Under way", "Waiting", "News waiting", "Last failure"];
  const rows = backends.map((one) => [
    named(one.tenant),
    h("span", { class: stateOf(one) }, stateOf(one)),
    one.streams,
    one.in_flight,
    one.waiting,
    one.events_waiting,
    one.last_failure ?? "none",
  ]);
  return [heading, table("Backends", columns, rows)];
}

/** The worst of its addresses. */
function stateOf({ breakers }) {
  const states = Object.values(breakers);
  if (states.includes("open")) return "not asked";
  return states.includes("probing") ? "being tried" : "good";
}

/** For a key that is scoped to tenants: their sum, as long as this page looks. */
function ofTenants(app, figures, about, left) {
  const kept = [[], [], []];
  show(about, h("p", { class: "hint" }, "This key is scoped to tenants: the figures are theirs, since this page was opened."));
  again(EVERY_MS, left, async () => {
    const { items } = await app.api.get("/v1/tenants", { limit: 1000 });
    const sum = (of) => items.reduce((total, one) => total + of(one), 0);
    kept[0].push(sum((one) => one.sessions));
    kept[1].push(sum((one) => one.rates.messages_in_per_s));
    kept[2].push(sum((one) => one.rates.messages_out_per_s));
    for (const values of kept) values.splice(0, values.length - SHOWN_POINTS);
    return () => show(figures, FIGURES.slice(0, 3).map(([name, , write], at) => figure(name, kept[at], write)));
  });
}
