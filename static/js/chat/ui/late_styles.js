// Style sheets that the first paint does not need. Their addresses, which contain the hash of the file,
// are in <meta> elements of the page.

/** @type {Map<string, Promise<void>>} by name of the <meta> */
const added = new Map();

/**
 * Resolves with the result of `importing` once its style sheets are loaded, too.
 * @template T
 * @param {Promise<T>} importing
 * @param {string[]} names
 */
export async function styled(importing, ...names) {
  const [module] = await Promise.all([importing, ...names.map(addStyles)]);
  return module;
}

/**
 * Resolves when the sheet is loaded or cannot be loaded, because unstyled content is still readable.
 * @param {string} name
 */
export function addStyles(name) {
  let adding = added.get(name);
  if (!adding) added.set(name, (adding = new Promise((done) => add(name, done))));
  return adding;
}

/**
 * @param {string} name
 * @param {() => void} done
 */
function add(name, done) {
  const { content: href } = /** @type {HTMLMetaElement} */ (document.querySelector(`meta[name="${name}"]`));
  if (document.querySelector(`link[rel=stylesheet][href="${href}"]`)) return done();
  const link = document.createElement("link");
  Object.assign(link, { rel: "stylesheet", href });
  link.addEventListener("load", done, { once: true });
  link.addEventListener("error", () => (link.remove(), added.delete(name), done()), { once: true });
  return document.head.append(link);
}
