// Dialogs, in one module to fetch: the first paint does without them.
export { Palette } from "./palette.js";
export { ShortcutSheet } from "./shortcut_sheet.js";
