// Ids are created in the browser, so that the server recognises a repeated send.

/** A UUIDv7: 48 bits of time, then random bits; later ids sort after earlier ones. */
export function uuid7(nowMs = Date.now()) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  for (let index = 0; index < 6; index++) {
    bytes[index] = Math.floor(nowMs / 2 ** (8 * (5 - index))) % 256;
  }
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/**
 * Whether entry id `a` comes after `b`. Ids are `<ms>-<seq>`, compared as two numbers.
 * @param {string} a
 * @param {string | null | undefined} b
 */
export function isAfter(a, b) {
  if (b === null || b === undefined) return true;
  const [aMs, aSeq = "0"] = a.split("-");
  const [bMs, bSeq = "0"] = b.split("-");
  return Number(aMs) !== Number(bMs) ? Number(aMs) > Number(bMs) : Number(aSeq) > Number(bSeq);
}

/**
 * The time of an entry, in ms since 1970.
 * @param {string} id
 */
export function entryTimeMs(id) {
  return Number(id.split("-")[0]);
}
