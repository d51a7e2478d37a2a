// The names of languages for people: "py" in a fence is shown as "Python". Pure.

/** @type {Record<string, string>} */
const NAMES = {
  actionscript: "ActionScript", ada: "Ada", apache: "Apache", applescript: "AppleScript", asm: "Assembly",
  assembly: "Assembly", astro: "Astro", awk: "AWK", bash: "Bash", bat: "Batch", batch: "Batch", bibtex: "BibTeX",
  c: "C", "c#": "C#", "c++": "C++", caddyfile: "Caddyfile", cc: "C++", clj: "Clojure", clojure: "Clojure",
  cmake: "CMake", cmd: "Batch", cobol: "COBOL", coffeescript: "CoffeeScript", console: "Console", cpp: "C++",
  crystal: "Crystal", cs: "C#", csharp: "C#", css: "CSS", csv: "CSV", cuda: "CUDA", cxx: "C++", cypher: "Cypher",
  d: "D", dart: "Dart", diff: "Diff", docker: "Dockerfile", dockerfile: "Dockerfile", dot: "Graphviz",
  elisp: "Emacs Lisp", elixir: "Elixir", elm: "Elm", erb: "ERB", erl: "Erlang", erlang: "Erlang", ex: "Elixir",
  exs: "Elixir", "f#": "F#", fish: "Fish", fortran: "Fortran", fs: "F#", fsharp: "F#", gdscript: "GDScript",
  gherkin: "Gherkin", git: "Git", gitignore: "gitignore", glsl: "GLSL", go: "Go", golang: "Go", gql: "GraphQL",
  gradle: "Gradle", graphql: "GraphQL", graphviz: "Graphviz", groovy: "Groovy", h: "C", handlebars: "Handlebars",
  haskell: "Haskell", hbs: "Handlebars", hcl: "HCL", hlsl: "HLSL", hpp: "C++", hs: "Haskell", htm: "HTML", html: "HTML",
  http: "HTTP", ini: "INI", java: "Java", javascript: "JavaScript", jinja: "Jinja", jinja2: "Jinja", jl: "Julia",
  js: "JavaScript", json: "JSON", json5: "JSON5", jsonc: "JSON", jsonl: "JSON Lines", jsx: "JSX", julia: "Julia",
  kotlin: "Kotlin", kt: "Kotlin", kts: "Kotlin", latex: "LaTeX", less: "Less", liquid: "Liquid", lisp: "Lisp",
  log: "Log", lua: "Lua", make: "Makefile", makefile: "Makefile", markdown: "Markdown", math: "LaTeX", matlab: "MATLAB",
  md: "Markdown", mdx: "MDX", mermaid: "Mermaid", mjs: "JavaScript", ml: "OCaml", mysql: "MySQL", nginx: "nginx",
  nim: "Nim", nix: "Nix", objc: "Objective-C", "objective-c": "Objective-C", objectivec: "Objective-C", ocaml: "OCaml",
  pascal: "Pascal", patch: "Diff", perl: "Perl", pgsql: "PostgreSQL", php: "PHP", pl: "Perl", plantuml: "PlantUML",
  plsql: "PL/SQL", postgres: "PostgreSQL", postgresql: "PostgreSQL", powershell: "PowerShell", prisma: "Prisma",
  prolog: "Prolog", promql: "PromQL", properties: "Properties", proto: "Protocol Buffers", protobuf: "Protocol Buffers",
  ps1: "PowerShell", pug: "Pug", pwsh: "PowerShell", py: "Python", pycon: "Python", python: "Python", python3: "Python",
  qml: "QML", r: "R", racket: "Racket", rb: "Ruby", reasonml: "ReasonML", regex: "Regular expression", rs: "Rust",
  rst: "reStructuredText", ruby: "Ruby", rust: "Rust", sass: "Sass", scala: "Scala", scheme: "Scheme", scss: "SCSS",
  sh: "Shell", shell: "Shell", "shell-session": "Console", sol: "Solidity", solidity: "Solidity", sparql: "SPARQL",
  sql: "SQL", sqlite: "SQLite", svelte: "Svelte", svg: "SVG", swift: "Swift", systemd: "systemd",
  systemverilog: "SystemVerilog", tcl: "Tcl", terraform: "Terraform", tex: "TeX", tf: "Terraform", toml: "TOML",
  ts: "TypeScript", tsql: "T-SQL", tsv: "TSV", tsx: "TSX", twig: "Twig", typescript: "TypeScript", typst: "Typst",
  vb: "Visual Basic", vba: "VBA", vbnet: "Visual Basic", verilog: "Verilog", vhdl: "VHDL", vim: "Vim script",
  vue: "Vue", wasm: "WebAssembly", wat: "WebAssembly", wgsl: "WGSL", wolfram: "Wolfram", xml: "XML", yaml: "YAML",
  yml: "YAML", zig: "Zig", zsh: "Zsh",
};
const PLAIN = new Set(["plain", "plaintext", "text", "txt"]);

/**
 * The name of `language`, the info string of a fence; an unknown one is shown as written. "" means no language.
 * @param {string} language
 */
export function nameOf(language) {
  const name = language.toLowerCase();
  if (PLAIN.has(name)) return "";
  return Object.hasOwn(NAMES, name) ? NAMES[name] : language;
}
