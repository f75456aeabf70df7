/** Loaded before everything else of a page, so that this is the page script's first line. */
export const startedAt = performance.now()
