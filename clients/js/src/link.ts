/** The present connection, as everything that sends sees it: at most one, and never the last one's. */

import type { Socket } from "./socket.js";
import type { Codec } from "./wire.js";

export class Link {
  readonly codec: Codec;
  socket: Socket | undefined;
  /** The gateway has let the client in. */
  open = false;
  #seq = 0;

  constructor(codec: Codec) {
    this.codec = codec;
  }

  /** Of this client's next message, whichever connection it goes over. */
  nextSeq(): number {
    return ++this.#seq;
  }

  send(message: object): void {
    this.socket?.send(this.codec.encode(message));
  }

  lost(): void {
    this.socket = undefined;
    this.open = false;
  }
}
