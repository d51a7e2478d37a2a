// The link definitions of one answer (`[r]: https://…`) in marked's form: name -> {href, title}. Each text
// that may use one is compared with all of them, so their number is bounded; later ones are text. Pure.

/** @typedef {Record<string, {href: string, title?: string | null}>} Links */

const MOST = 500;

/**
 * A new store that begins with the definitions in `known`.
 * @param {Links} known
 * @returns {Links}
 */
export const linksWith = (known = {}) => Object.assign(Object.create(null), known);

/** @param {Links} links */
export const countOf = (links) => Object.keys(links).length;

/**
 * Whether `name` is defined, or may be.
 * @param {Links} links
 * @param {string} name
 */
export const hasRoomFor = (links, name) => name in links || countOf(links) < MOST;
