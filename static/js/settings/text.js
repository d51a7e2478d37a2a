// All texts of the scripts of the settings page.
import { spoken } from "../chat/lib/format.js";

export const text = spoken("settings", {
  saved: "Saved",
  saving: "Saving…",
  notSaved: "Not saved",
  notificationsAllow: "Allow them in this browser",
  notificationsAllowed: "This browser allows them.",
  notificationsDenied: "This browser blocks them for this site. You can change that in its settings for the site.",
  pictureTooLarge: "This file is larger than 10 MB. Choose a smaller one, or save it with less quality.",
});
