// What shows a chat, as one thing to fetch: the page of a new one does without.
export { Announcer } from "./announcer.js";
export { ChatCost } from "./chat_cost.js";
export { Jump } from "./jump_to_message.js";
export { Transcript } from "./transcript.js";
