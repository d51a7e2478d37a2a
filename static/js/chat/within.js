// An end to waiting.

/** What `promise` gives, or null when that takes longer. */
export function within(ms, promise) {
  return Promise.race([promise, new Promise((resolve) => setTimeout(() => resolve(null), ms))]);
}
