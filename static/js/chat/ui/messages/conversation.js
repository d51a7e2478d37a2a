// Everything that shows a chat as one module, which the page of a new chat does not need.
export { Announcer } from "./announcer.js";
export { ChatCost } from "./chat_cost.js";
export { Jump } from "./jump_to_message.js";
export { QuoteButton } from "./quote_button.js";
export { TemporaryNotice } from "./temporary_notice.js";
export { Transcript } from "./transcript.js";
