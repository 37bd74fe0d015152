/** The part of the address that names a view and what it shows. */

export function address(view, parameters = {}) {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return `#/${view}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

/** The view and the parameters that stand there. */
export function read(hash) {
  const [, view = "", query = ""] = /^#\/(\w*)\??(.*)$/s.exec(hash) ?? [];
  return { view, parameters: Object.fromEntries(new URLSearchParams(query)) };
}
