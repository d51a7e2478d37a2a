// The languages that are highlighted. Each grammar is loaded with the first code in its language.

const LOADERS = {
  bash: () => import("../../../vendor/highlight-11.12.0/languages/bash.js"),
  c: () => import("../../../vendor/highlight-11.12.0/languages/c.js"),
  clojure: () => import("../../../vendor/highlight-11.12.0/languages/clojure.js"),
  cpp: () => import("../../../vendor/highlight-11.12.0/languages/cpp.js"),
  csharp: () => import("../../../vendor/highlight-11.12.0/languages/csharp.js"),
  css: () => import("../../../vendor/highlight-11.12.0/languages/css.js"),
  dart: () => import("../../../vendor/highlight-11.12.0/languages/dart.js"),
  diff: () => import("../../../vendor/highlight-11.12.0/languages/diff.js"),
  dockerfile: () => import("../../../vendor/highlight-11.12.0/languages/dockerfile.js"),
  elixir: () => import("../../../vendor/highlight-11.12.0/languages/elixir.js"),
  erlang: () => import("../../../vendor/highlight-11.12.0/languages/erlang.js"),
  go: () => import("../../../vendor/highlight-11.12.0/languages/go.js"),
  graphql: () => import("../../../vendor/highlight-11.12.0/languages/graphql.js"),
  haskell: () => import("../../../vendor/highlight-11.12.0/languages/haskell.js"),
  http: () => import("../../../vendor/highlight-11.12.0/languages/http.js"),
  ini: () => import("../../../vendor/highlight-11.12.0/languages/ini.js"),
  java: () => import("../../../vendor/highlight-11.12.0/languages/java.js"),
  javascript: () => import("../../../vendor/highlight-11.12.0/languages/javascript.js"),
  json: () => import("../../../vendor/highlight-11.12.0/languages/json.js"),
  julia: () => import("../../../vendor/highlight-11.12.0/languages/julia.js"),
  kotlin: () => import("../../../vendor/highlight-11.12.0/languages/kotlin.js"),
  latex: () => import("../../../vendor/highlight-11.12.0/languages/latex.js"),
  less: () => import("../../../vendor/highlight-11.12.0/languages/less.js"),
  lua: () => import("../../../vendor/highlight-11.12.0/languages/lua.js"),
  makefile: () => import("../../../vendor/highlight-11.12.0/languages/makefile.js"),
  markdown: () => import("../../../vendor/highlight-11.12.0/languages/markdown.js"),
  matlab: () => import("../../../vendor/highlight-11.12.0/languages/matlab.js"),
  nginx: () => import("../../../vendor/highlight-11.12.0/languages/nginx.js"),
  objectivec: () => import("../../../vendor/highlight-11.12.0/languages/objectivec.js"),
  ocaml: () => import("../../../vendor/highlight-11.12.0/languages/ocaml.js"),
  perl: () => import("../../../vendor/highlight-11.12.0/languages/perl.js"),
  php: () => import("../../../vendor/highlight-11.12.0/languages/php.js"),
  powershell: () => import("../../../vendor/highlight-11.12.0/languages/powershell.js"),
  protobuf: () => import("../../../vendor/highlight-11.12.0/languages/protobuf.js"),
  python: () => import("../../../vendor/highlight-11.12.0/languages/python.js"),
  r: () => import("../../../vendor/highlight-11.12.0/languages/r.js"),
  ruby: () => import("../../../vendor/highlight-11.12.0/languages/ruby.js"),
  rust: () => import("../../../vendor/highlight-11.12.0/languages/rust.js"),
  scala: () => import("../../../vendor/highlight-11.12.0/languages/scala.js"),
  scss: () => import("../../../vendor/highlight-11.12.0/languages/scss.js"),
  shell: () => import("../../../vendor/highlight-11.12.0/languages/shell.js"),
  sql: () => import("../../../vendor/highlight-11.12.0/languages/sql.js"),
  swift: () => import("../../../vendor/highlight-11.12.0/languages/swift.js"),
  typescript: () => import("../../../vendor/highlight-11.12.0/languages/typescript.js"),
  vim: () => import("../../../vendor/highlight-11.12.0/languages/vim.js"),
  xml: () => import("../../../vendor/highlight-11.12.0/languages/xml.js"),
  yaml: () => import("../../../vendor/highlight-11.12.0/languages/yaml.js"),
};
const ALIASES = {
  "c#": "csharp", "c++": "cpp", cc: "cpp", clj: "clojure", console: "bash", cs: "csharp", docker: "dockerfile", erl: "erlang",
  ex: "elixir", golang: "go", gql: "graphql", h: "c", hpp: "cpp", hs: "haskell", html: "xml", js: "javascript", jsonc: "json",
  json5: "json", jsx: "javascript", kt: "kotlin", make: "makefile", md: "markdown", mjs: "javascript", ml: "ocaml",
  objc: "objectivec", "objective-c": "objectivec", patch: "diff", pl: "perl", proto: "protobuf", ps1: "powershell",
  pwsh: "powershell", py: "python", python3: "python", rb: "ruby", rs: "rust", sh: "bash", svg: "xml", tex: "latex",
  toml: "ini", ts: "typescript", tsx: "typescript", yml: "yaml", zsh: "bash",
};
// Languages that are loaded together with the language in which they are embedded.
/** @type {Record<string, string[]>} */
const NEEDS = { xml: ["css", "javascript"], markdown: ["xml"], php: ["xml"], http: ["json"], shell: ["bash"] };

/**
 * The name of the grammar for `language`, as a model writes it, or null.
 * @param {string} language
 */
export function knownLanguage(language) {
  const name = language.toLowerCase();
  const known = Object.hasOwn(ALIASES, name) ? ALIASES[name] : name;
  return Object.hasOwn(LOADERS, known) ? known : null;
}

/** Register the language, and those that it embeds, with `highlighter`. */
export async function learn(highlighter, name) {
  if (highlighter.getLanguage(name)) return;
  const [{ default: grammar }] = await Promise.all([LOADERS[name](), ...(NEEDS[name] ?? []).map((other) => learn(highlighter, other))]);
  highlighter.registerLanguage(name, grammar);
}
