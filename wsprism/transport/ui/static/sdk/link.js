/** The present connection, as everything that sends sees it: at most one, and never the last one's. */
export class Link {
    codec;
    socket;
    /** The gateway has let the client in. */
    open = false;
    #seq = 0;
    constructor(codec) {
        this.codec = codec;
    }
    /** Of this client's next message, whichever connection it goes over. */
    nextSeq() {
        return ++this.#seq;
    }
    send(message) {
        this.socket?.send(this.codec.encode(message));
    }
    lost() {
        this.socket = undefined;
        this.open = false;
    }
}
