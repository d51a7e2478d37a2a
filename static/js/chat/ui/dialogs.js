// What opens over the page and is not needed to show it.
export { Palette } from "./palette.js";
export { ShortcutSheet } from "./shortcut_sheet.js";
