// The addresses that one answer defines by name (`[r]: https://…`), as marked keeps them: name -> {href, title}.
// Each text that may refer to one is held against all of them, so there is a most; what is defined
// after that is text. Pure.

const MOST = 500;

/** A store of its own that begins with what is `known`. */
export const linksWith = (known = {}) => Object.assign(Object.create(null), known);

export const countOf = (links) => Object.keys(links).length;

/** Whether `name` is defined, or may be. */
export const hasRoomFor = (links, name) => name in links || countOf(links) < MOST;
