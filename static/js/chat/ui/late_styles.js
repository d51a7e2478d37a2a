// Style sheets that the first paint does without. Their addresses, which carry the hash of the file,
// are in <meta> elements of the page.

const added = new Map(); // name of the <meta> -> promise

/** What `importing` gives, once the sheets that it needs are there too. */
export async function styled(importing, ...names) {
  const [module] = await Promise.all([importing, ...names.map(addStyles)]);
  return module;
}

/** Resolves when the sheet counts, or cannot be had: what is not styled can still be read. */
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
