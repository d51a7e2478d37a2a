// Every sentence that the page of the settings says by itself, in one place.
import { spoken } from "../chat/lib/format.js";

export const text = spoken("settings", {
  saved: "Saved",
  saving: "Saving…",
  notSaved: "Not saved",
  pictureTooLarge: "This file is larger than 10 MB. Choose a smaller one, or save it with less quality.",
});
