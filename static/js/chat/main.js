// The chat island: reads what the server put on the page and takes over from there.
import { html, render } from "../preact.js";
import { noteTimeZone } from "./preferences.js";
import { Store } from "./store.js";
import { App } from "./ui/app.js";

const config = JSON.parse(document.getElementById("config").textContent);
const root = document.getElementById("app");
const store = new Store(config);
root.replaceChildren();
render(html`<${App} store=${store} />`, root);
store.start();
noteTimeZone();
