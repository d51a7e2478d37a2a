// The rules for scripts: the browser's with types, the tests' in node without.
import js from "@eslint/js";
import { defineConfig } from "eslint/config";
import importX from "eslint-plugin-import-x";
import globals from "globals";
import tseslint from "typescript-eslint";

const rules = {
  eqeqeq: ["error", "always", { null: "ignore" }],
  "no-shadow": "error",
  "no-unused-vars": ["error", { ignoreRestSiblings: true }],
  "no-var": "error",
  "object-shorthand": "error",
  "prefer-const": "error",
  "import-x/named": "error",
  "import-x/no-cycle": "error",
  "import-x/no-unresolved": "error",
};

export default defineConfig(
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  { files: ["**/*.js", "**/*.mjs"], extends: [js.configs.recommended], plugins: { "import-x": importX }, rules },
  {
    files: ["static/js/**/*.js"],
    languageOptions: {
      globals: globals.browser,
      parser: tseslint.parser,
      parserOptions: { project: "tests/js/lint/tsconfig.all.json" },
    },
    plugins: { "@typescript-eslint": tseslint.plugin },
    rules: {
      // More than ruff's 10 (C901), because ESLint also counts `&&`, `||`, `??`, `?.` and default values.
      complexity: ["error", { max: 15, variant: "modified" }],
      // Components include their markup.
      "max-lines-per-function": ["error", { max: 70, skipBlankLines: true, skipComments: true }],
      "max-params": ["error", 5],
      "no-restricted-syntax": [
        "error",
        {
          selector: "TemplateElement[value.raw=/\\n[ \\t]*\\x2f[\\x2f*]/]",
          message: "config/web/static_files.py would remove this line as a comment.",
        },
      ],
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
    },
  },
  {
    files: ["static/js/service_worker.js"],
    languageOptions: { globals: { ...globals.serviceworker, BUILD: "readonly" } }, // chat/web/app_shell.py sets BUILD.
  },
  { files: ["tests/js/**/*.mjs"], languageOptions: { globals: globals.nodeBuiltin } },
  { ignores: ["static/vendor/**", "**/node_modules/**"] },
);
