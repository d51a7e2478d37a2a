// Menus, in one module to fetch: the first paint does without them.
export { ModelList } from "./composer/model_list.js";
export { RowMenu, rowItems } from "./sidebar/row_menu.js";
