/** Time on a clock that nobody sets, timers of any length, and promises that nobody need wait for. */
/** The longest that a timer can be. */
export const MAX_TIMER_MS = 2 ** 31 - 1;
/** Milliseconds on a clock that nobody sets. */
export const now = () => performance.now();
/** A promise whose rejection nobody may wait for, and that is no fault. */
export const quiet = (promise) => {
    promise.catch(() => { });
    return promise;
};
