// Everything that shows a chat, in one module to fetch; the page of a new chat does without it.
export { Announcer } from "./announcer.js";
export { ChatCost } from "./chat_cost.js";
export { Jump } from "./jump_to_message.js";
export { Transcript } from "./transcript.js";
