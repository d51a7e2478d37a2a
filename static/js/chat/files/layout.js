// How large pictures of messages are shown.

const MOST_WIDTH = 360;
const MOST_HEIGHT = 320;
const UNKNOWN = { width: 240, height: 180 };
/** The most pixels of a thumbnail in each direction. */
const THUMB = 256;

/** @typedef {{width?: number, height?: number}} Sized */

/**
 * The size of a picture that is shown alone: never larger than it is.
 * @param {Sized} file
 */
export function shownSize({ width, height }) {
  if (!width || !height) return UNKNOWN;
  const scale = Math.min(1, MOST_WIDTH / width, MOST_HEIGHT / height);
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/**
 * Whether the picture has more than its thumbnail shows.
 * @param {Sized} file
 */
export const isLargerThanThumb = ({ width = 0, height = 0 }) => Math.max(width, height) > THUMB;
