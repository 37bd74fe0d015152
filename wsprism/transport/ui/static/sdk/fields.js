/** Fields of what a gateway says: what is not as it should be is as if it were not there. */
/** No gateway wants a client to wait longer. */
const MOST_MS = 86_400_000;
/** A number that is finite and not negative. */
export const count = (value) => typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
export const whole = (value) => (Number.isInteger(value) ? count(value) : null);
/** A wait; 0 for what is none. */
export const milliseconds = (value) => Math.min(MOST_MS, count(value) ?? 0);
export const text = (value) => (typeof value === "string" ? value : null);
