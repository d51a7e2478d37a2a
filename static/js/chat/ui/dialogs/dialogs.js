// All dialogs as one module, which the first paint does not need.
export { Palette } from "./palette.js";
export { ProjectDialogs } from "../projects/project_dialogs.js";
export { ShortcutSheet } from "./shortcut_sheet.js";
