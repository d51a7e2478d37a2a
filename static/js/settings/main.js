// The settings page saves each change at once. Without scripts the buttons send the same forms. Changes
// from other devices are shown here, too.
import { noteTimeZone } from "../chat/preferences.js";
import { Connection } from "../chat/log/socket.js";
import { FieldsSaver } from "./fields_saver.js";
import { showNotificationState } from "./notification_state.js";
import { PicturePanel } from "./picture_panel.js";

// A cursor after every possible entry: this page shows no chat, so nothing is replayed.
const NO_REPLAY = "999999999999999-0";

const settings = JSON.parse(document.getElementById("settings").textContent);
document.documentElement.classList.add("is-live");
const fields = new FieldsSaver(document, settings);
const picture = new PicturePanel(document, fields);

function take(message) {
  if (!message.settings) return;
  fields.take(message.settings);
  picture.show(message.settings, message.user);
}

const ignore = () => {};
const scheme = location.protocol === "https:" ? "wss:" : "ws:";
const connection = new Connection(`${scheme}//${location.host}/ws`, {
  onFrame: ignore,
  onLive: ignore,
  onReset: ignore,
  onProblem: ignore,
  onWelcome: take,
  onUser: take,
  onBalance: ignore,
  onDraft: ignore,
  onSomebodyElse: () => location.reload(),
  person: () => fields.owner,
  watchFrom: () => NO_REPLAY,
  followed: () => null,
}, WebSocket, () => import("../chat/log/poll_socket.js"));
connection.start();
noteTimeZone();
showNotificationState(document);
