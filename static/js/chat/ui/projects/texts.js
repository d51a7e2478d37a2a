// The texts of the dialogs of projects, which are loaded with them.
import { spoken } from "../../lib/format.js";

export const own = spoken("projects", {
  add: "New project",
  edit: "Project",
  about: "A project keeps chats about one thing together, and tells the model the same instructions in all of them.",
  name: "Name",
  instructions: "Instructions",
  help: "The model is told this in every chat of the project, from the next answer on; after what you tell every model.",
  create: "Add project",
  remove: "Delete…",
  nameMissing: "Enter a name.",
  tooLong: { one: "{count} character; at most {limit} can be kept.", other: "{count} characters; at most {limit} can be kept." },
  removeTitle: "Delete “{name}”?",
  removeNote: "Its name and instructions are deleted for good.",
  keepChats: "Keep its chats, in no project",
  removeChats: "Delete its chats, too. They can be restored for a while.",
  confirm: "Delete project",
  moveTitle: "Move “{title}” to a project",
  noProject: "No project",
  none: "You have no projects yet.",
});
