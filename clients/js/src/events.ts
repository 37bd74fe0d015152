/** Listeners by event name. One that throws is reported, and stops nothing. */

export type Listener<T> = (value: T) => unknown;

export class Emitter<Events extends object> {
  readonly #listeners = new Map<keyof Events, Listener<never>[]>();
  readonly #fault: (error: unknown) => void;

  constructor(names: readonly (keyof Events)[], fault: (error: unknown) => void) {
    for (const name of names) this.#listeners.set(name, []);
    this.#fault = fault;
  }

  #of(event: keyof Events): Listener<never>[] {
    const listeners = this.#listeners.get(event);
    if (!listeners) throw new TypeError(`no such event: ${String(event)}; there are ${[...this.#listeners.keys()].join(", ")}`);
    return listeners;
  }

  on<K extends keyof Events>(event: K, listener: Listener<Events[K]>): void {
    this.#of(event).push(listener);
  }

  off<K extends keyof Events>(event: K, listener: Listener<Events[K]>): void {
    const listeners = this.#of(event);
    const at = listeners.indexOf(listener);
    if (at >= 0) listeners.splice(at, 1);
  }

  /** Tell every listener; whether there was one. A listener's promise that rejects is a listener that threw. */
  emit<K extends keyof Events>(event: K, value: Events[K], fault = this.#fault): boolean {
    const listeners = [...this.#of(event)] as Listener<Events[K]>[];
    for (const listener of listeners) {
      try {
        const result = listener(value);
        if (result instanceof Promise) result.catch(fault);
      } catch (error) {
        fault(error);
      }
    }
    return listeners.length > 0;
  }
}
