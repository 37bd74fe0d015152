/** What a client may be told. */
const defaults = {
    format: "json",
    pingIntervalMs: 25_000,
    pongTimeoutMs: 10_000,
    connectTimeoutMs: 10_000,
    backoffBaseMs: 500,
    backoffCapMs: 30_000,
    backoffResetMs: 10_000,
    queueMessages: 1000,
    queueBytes: 1_048_576,
    requestTimeoutMs: 10_000,
    hotBufferedBytes: 65_536,
};
/** With the defaults. Throws TypeError for what cannot be. */
export function complete(given) {
    const options = { ...defaults, ...given };
    for (const name of Object.keys(defaults)) {
        options[name] ??= defaults[name];
        const value = options[name];
        if (name !== "format" && !(typeof value === "number" && value > 0)) {
            throw new TypeError(`${name} must be a number above 0, found ${String(value)}`);
        }
    }
    if (options.format !== "json" && options.format !== "msgpack")
        throw new TypeError("format is 'json' or 'msgpack'");
    if (typeof options.tenant !== "string" || !options.tenant)
        throw new TypeError("tenant must be a string that is not empty");
    if (typeof options.ticket !== "string" && typeof options.ticket !== "function") {
        throw new TypeError("ticket is a string, or a function that gives one");
    }
    return options;
}
/** `url` with its path and query as the gateway wants them. Throws TypeError when it is no WebSocket URL. */
export function address(url, { tenant }, sid) {
    const parts = new URL(url);
    if (parts.protocol !== "ws:" && parts.protocol !== "wss:") {
        throw new TypeError(`the url must be ws://host[:port] or wss://host[:port], found ${url}`);
    }
    if (parts.pathname === "/")
        parts.pathname = "/v1/ws";
    parts.hash = "";
    parts.searchParams.set("tenant", tenant);
    parts.searchParams.set("explain", "1");
    if (sid !== undefined)
        parts.searchParams.set("sid", sid);
    return parts.href;
}
/** The ticket for one attempt. Rejects when the function throws, takes too long or gives no string. */
export async function askTicket({ ticket, connectTimeoutMs }) {
    if (typeof ticket === "string")
        return ticket;
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error("the ticket function took too long")), connectTimeoutMs);
    });
    try {
        const given = await Promise.race([ticket(), late]);
        if (typeof given !== "string")
            throw new Error("the ticket function must give a string");
        return given;
    }
    finally {
        clearTimeout(timer);
    }
}
