// Style sheets that the first paint does not need. Their addresses, which contain the hash of the file,
// are in <meta> elements of the page.

const added = new Map(); // name of the <meta> -> promise

/** Resolves with the result of `importing` once its style sheets are loaded, too. */
export async function styled(importing, ...names) {
  const [module] = await Promise.all([importing, ...names.map(addStyles)]);
  return module;
}

/** Resolves when the sheet is loaded or cannot be loaded, because unstyled content is still readable. */
export function addStyles(name) {
  if (!added.has(name)) added.set(name, new Promise((done) => add(name, done)));
  return added.get(name);
}

function add(name, done) {
  const href = document.querySelector(`meta[name="${name}"]`).content;
  if (document.querySelector(`link[rel=stylesheet][href="${href}"]`)) return done();
  const link = document.createElement("link");
  Object.assign(link, { rel: "stylesheet", href });
  link.addEventListener("load", done, { once: true });
  link.addEventListener("error", () => (link.remove(), added.delete(name), done()), { once: true });
  return document.head.append(link);
}
