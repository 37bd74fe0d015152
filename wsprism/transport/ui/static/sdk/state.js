/** What a client tells of itself. */
export {};
