// The entry point of the chat page: reads the server's data from the page and renders the app. The app
// shell contains no data, so it shows the data stored in this browser.
import { html, render } from "../preact.js";
import { watchBuild } from "./build.js";
import { takeFiles } from "./compose/dropped_files.js";
import { OwnStore } from "./own_store.js";
import { noteTimeZone } from "./preferences.js";
import { Store } from "./store.js";
import { App } from "./ui/app.js";
import { keepFocus } from "./ui/focus_keeper.js";
import { fetchModule } from "./ui/lazy_modules.js";
import { withTimeout } from "./lib/with_timeout.js";

const DRAWN_WITHIN_MS = 1_000;

/**
 * Remove the server's shell, except the field and the elements around it. Preact takes them over, since they are
 * those of the app: so text, caret, focus and an input method's composition stay as they are.
 */
function keepField(shell) {
  const field = shell.querySelector(".composer-field");
  if (!field) return void shell.replaceChildren();
  for (let kept = field; kept !== shell; kept = kept.parentElement)
    for (const node of [...kept.parentElement.childNodes]) if (node !== kept) node.remove();
}

const own = new OwnStore();
const page = JSON.parse(document.getElementById("config").textContent);
const config = await own.begin(page);
const root = document.getElementById("app");
const store = new Store(config, own);
// Keep the server's preview until the whole chat can be drawn, but not for long.
if (config.glimpse?.length > 0) await withTimeout(DRAWN_WITHIN_MS, Promise.allSettled(["conversation", "reading"].map(fetchModule)));
keepField(root);
render(html`<${App} store=${store} />`, root);
keepFocus(root);
store.start();
takeFiles(store);
noteTimeZone();
watchBuild(store.toasts);
