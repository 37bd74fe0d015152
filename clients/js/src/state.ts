/** What a client tells of itself. */

import type { HotFrame, Message } from "./wire.js";

export type State = "idle" | "connecting" | "open" | "waiting" | "closed";

/** A close code, or the HTTP status of a refused handshake. */
export interface Reason {
  code: number;
  reason: string;
}

/** What `authed` said. `expiresAt`: seconds since 1970, null without end. */
export interface Session {
  tenant: string;
  user: string;
  sid: string;
  expiresAt: number | null;
  data: unknown;
}

export interface ClientEvents {
  state: { state: State; nextAttemptAt?: number; reason?: Reason };
  /** Of no room that this client is in: what was sent to the user, or broadcast. */
  message: Message;
  /** A frame that names no room. */
  hot: HotFrame;
  /** What belongs to no call: of the gateway, or what a listener threw. */
  error: unknown;
  draining: { reconnectAfterMs: number };
  /** The gateway's nodes are out of reach of each other: joins and publications are refused UNAVAILABLE meanwhile. */
  degraded: { degraded: boolean };
}
