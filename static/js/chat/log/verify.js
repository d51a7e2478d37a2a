// The end event of an answer has the length and SHA-256 of its text; the folded text must match them.

/**
 * Whether `message` (ended) holds the text that its end event described.
 * @param {{text: string, length: number | null, sha256: string | null}} message
 */
export async function matchesFingerprint({ text, length, sha256 }) {
  // Destructured above, before the first await, because the message may change meanwhile.
  if (sha256 === null) return true;
  const bytes = new TextEncoder().encode(text);
  if (bytes.length !== length) return false;
  // `subtle` is missing outside secure contexts (plain http from another host): only the length is checked.
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
}
