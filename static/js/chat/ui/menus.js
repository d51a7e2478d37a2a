// Menus, in one module to fetch: the first paint does without them.
export { ModelList } from "./model_list.js";
export { RowMenu, rowItems } from "./row_menu.js";
