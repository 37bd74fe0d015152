/** What an operator does to the whole gateway: reload, drain, log level. */

import { button, h } from "./dom.js";
import { act, warn } from "./notices.js";

const LEVELS = ["debug", "info", "warning", "error"];

export function tools(app) {
  return [button("Reload", () => reload(app)), button("Drain", () => drain(app), { class: "danger" }), logLevel(app)];
}

function reload(app) {
  return act(
    "Reload",
    "The gateway reads its configuration again. What changed is in force at once; any fault, and the old one stays.",
    () => app.api.post("/v1/reload"),
    ({ result, changed, needs_restart }) => [
      result === "applied" ? "The configuration was applied." : "Nothing has changed that a reload can apply.",
      lines("In force now", changed),
      lines("Needs a restart", needs_restart),
    ],
  );
}

function drain(app) {
  return act(
    "Drain",
    "Every client is told to come back later and is closed, then this gateway ends. This cannot be undone.",
    () => app.api.post("/v1/drain"),
    () => "The gateway drains.",
    { danger: true },
  );
}

function logLevel(app) {
  let before = "info";
  const choice = h(
    "select",
    {
      onchange: async () => {
        const level = choice.value;
        const text = `All components without a level of their own log from "${level}" on, until the gateway restarts.`;
        const set = () => app.api.call("PUT", "/v1/log-level", { level });
        if (await act("Log level", text, set, () => `The log level is ${level}.`)) before = level;
        choice.value = before;
      },
    },
    LEVELS.map((level) => h("option", { value: level }, level)),
  );
  app.api.get("/v1/log-level").then(({ level }) => (choice.value = before = level), warn);
  return h("label", { class: "level" }, "Log level ", choice);
}

const lines = (title, texts) => (texts.length ? [h("h3", {}, title), h("ul", {}, texts.map((one) => h("li", {}, one)))] : []);
