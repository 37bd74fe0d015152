/** Listeners by event name. One that throws is reported, and stops nothing. */
export class Emitter {
    #listeners = new Map();
    #fault;
    constructor(names, fault) {
        for (const name of names)
            this.#listeners.set(name, []);
        this.#fault = fault;
    }
    #of(event) {
        const listeners = this.#listeners.get(event);
        if (!listeners)
            throw new TypeError(`no such event: ${String(event)}; there are ${[...this.#listeners.keys()].join(", ")}`);
        return listeners;
    }
    on(event, listener) {
        this.#of(event).push(listener);
    }
    off(event, listener) {
        const listeners = this.#of(event);
        const at = listeners.indexOf(listener);
        if (at >= 0)
            listeners.splice(at, 1);
    }
    /** Tell every listener; whether there was one. A listener's promise that rejects is a listener that threw. */
    emit(event, value, fault = this.#fault) {
        const listeners = [...this.#of(event)];
        for (const listener of listeners) {
            try {
                const result = listener(value);
                if (result instanceof Promise)
                    result.catch(fault);
            }
            catch (error) {
                fault(error);
            }
        }
        return listeners.length > 0;
    }
}
