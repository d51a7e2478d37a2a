// How large pictures of messages are shown.

const MOST = { width: 360, height: 320 };
const UNKNOWN = { width: 240, height: 180 };
/** The most pixels of a thumbnail in each direction. */
const THUMB = 256;

/** @typedef {{width?: number, height?: number}} Sized */

/**
 * The size of a picture that is shown alone: never larger than it is.
 * @param {Sized} file
 * @param {{width: number, height: number}} [most]
 */
export function shownSize({ width, height }, most = MOST) {
  if (!width || !height) return UNKNOWN;
  const scale = Math.min(1, most.width / width, most.height / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/**
 * Whether the picture has more than its thumbnail shows.
 * @param {Sized} file
 */
export const isLargerThanThumb = ({ width = 0, height = 0 }) => Math.max(width, height) > THUMB;
