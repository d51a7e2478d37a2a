// What may be attached, as far as a page can tell. The server decides by the content; this spares uploads that
// it would refuse.

const MB = 1_000_000;
export const MOST_FILES = 10;
export const MOST_BYTES = 60 * MB;
/** The most bytes of a file, by kind. */
export const MOST_BYTES_OF = { image: 20 * MB, audio: 25 * MB, document: 32 * MB, text: 5 * MB };
/** WAV may have more: a recording of 15 minutes has 28.8 MB. */
export const MOST_WAV_BYTES = 29 * MB;
const LARGEST = Math.max(...Object.values(MOST_BYTES_OF));

const IMAGES = /\.(avif|gif|heic|heif|jpe?g|png|webp)$/i;
const SOUNDS = /\.(flac|m4a|mp3|oga|ogg|opus|wav|webm)$/i;
const DOCUMENTS = /\.(docx|ods|pdf|pptx|xlsx)$/i;

/** @typedef {"image" | "audio" | "document" | "text"} Kind */
/** @typedef {"empty" | Kind | "any"} Doubt why the server would probably refuse a file: it is empty, or larger than its kind may be */

/**
 * The probable kind of a file, by its name and the type that the browser names.
 * @param {{name: string, type?: string}} file
 * @returns {Kind}
 */
export function guessKind({ name, type = "" }) {
  // An SVG is read as text.
  if ((type.startsWith("image/") && !type.startsWith("image/svg")) || IMAGES.test(name)) return "image";
  if (type.startsWith("audio/") || SOUNDS.test(name)) return "audio";
  return type === "application/pdf" || DOCUMENTS.test(name) ? "document" : "text";
}

/**
 * Why the server would probably refuse the file, or null.
 * @param {{name: string, type?: string, size: number}} file
 * @returns {Doubt | null}
 */
export function doubtAbout(file) {
  if (file.size === 0) return "empty";
  if (file.size > LARGEST) return "any";
  const kind = guessKind(file);
  return file.size > mostBytesOf(kind, file.name) ? kind : null;
}

/**
 * The most bytes that a file of a kind and name may have.
 * @param {Kind} kind
 * @param {string} name
 */
export const mostBytesOf = (kind, name) => (kind === "audio" && /\.wav$/i.test(name) ? MOST_WAV_BYTES : MOST_BYTES_OF[kind]);

/**
 * The files that fit into a message beside those that are attached, and why the first of the others does not.
 * @template {{size: number}} F
 * @param {{bytes: number}[]} attached
 * @param {F[]} files
 * @returns {{taken: F[], refused: "count" | "bytes" | null}}
 */
export function fitting(attached, files) {
  const taken = [];
  let bytes = attached.reduce((sum, file) => sum + file.bytes, 0);
  /** @type {"count" | "bytes" | null} */
  let refused = null;
  for (const file of files) {
    const isTooMany = attached.length + taken.length >= MOST_FILES;
    if (isTooMany || bytes + file.size > MOST_BYTES) {
      refused ??= isTooMany ? "count" : "bytes";
      continue;
    }
    bytes += file.size;
    taken.push(file);
  }
  return { taken, refused };
}
