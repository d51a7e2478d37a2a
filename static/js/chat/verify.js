// An answer's end brings the length and SHA-256 of its text: what was folded must match.

/**
 * Whether `message` (ended) holds the text that its end event described.
 * @param {{text: string, length: number | null, sha256: string | null}} message
 */
export async function matchesFingerprint({ text, length, sha256 }) {
  // Taken apart above, before the first await: the message may go on meanwhile.
  if (sha256 === null) return true;
  const bytes = new TextEncoder().encode(text);
  if (bytes.length !== length) return false;
  // Absent outside secure contexts (plain http from another host): the length alone must do.
  if (!globalThis.crypto?.subtle) return true;
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") === sha256;
}
