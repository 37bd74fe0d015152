/** A client for wsPrism gateways: see README.md. */
export { Client } from "./client.js";
export { WsPrismError } from "./errors.js";
