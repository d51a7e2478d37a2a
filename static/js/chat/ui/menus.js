// All menus as one module, which the first paint does not need.
export { ModelList } from "./composer/model_list.js";
export { PromptList } from "./composer/prompt_list.js";
export { RowMenu, rowItems } from "./sidebar/row_menu.js";
