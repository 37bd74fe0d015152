/** The internal API with one key. Knows nothing of the page. */

const TIMEOUT_MS = 15_000;

/** A refusal, or (status 0) no answer. */
export class ApiError extends Error {
  constructor(status, detail, errors = []) {
    super([detail, ...errors.map(({ pointer, detail }) => [pointer, detail].filter(Boolean).join(": "))].join("\n"));
    this.status = status;
  }
}

export class Api {
  #key;

  constructor(key) {
    this.#key = key;
  }

  get(path, query = {}) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
    return this.call("GET", given.length ? `${path}?${new URLSearchParams(given)}` : path);
  }

  post(path, body) {
    return this.call("POST", path, body);
  }

  /** The answer's JSON; throws ApiError. */
  async call(method, path, body) {
    const headers = { Authorization: `Bearer ${this.#key}` };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    let response, told;
    try {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      response = await fetch(path, { method, headers, body: body && JSON.stringify(body), signal, cache: "no-store" });
      told = await response.json().catch(() => null);
    } catch {
      throw new ApiError(0, "The gateway does not answer.");
    }
    if (response.ok && told !== null) return told;
    throw new ApiError(response.status, told?.detail ?? `The gateway answered ${response.status}.`, told?.errors);
  }

  /** A WebSocket that hears what is published into a room. */
  tail(tenant, room) {
    const raw = String.fromCharCode(...new TextEncoder().encode(this.#key));
    const key = btoa(raw).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
    const url = new URL(`${path(tenant, "rooms", room)}/tail`, location.href);
    url.protocol = url.protocol.replace("http", "ws");
    const socket = new WebSocket(url, ["wsprism.tail.v1", `key.${key}`]);
    socket.binaryType = "arraybuffer";
    return socket;
  }
}

/** `/v1/tenants/{tenant}` and what is below it. Throws for the names that no URL can say: browsers resolve them. */
export function path(tenant, ...names) {
  for (const name of [tenant, ...names]) {
    if (name === "." || name === "..") throw new ApiError(0, `A browser cannot ask for what is called "${name}".`);
  }
  return ["/v1/tenants", ...[tenant, ...names].map((one) => encodeURIComponent(one.toWellFormed?.() ?? one))].join("/");
}
