// What opens below a button and is not needed to show it.
export { ModelList } from "./model_list.js";
export { RowMenu, rowItems } from "./row_menu.js";
