import { html } from "../../../../preact.js";
import { api } from "../../../api.js";
import { spoken } from "../../../lib/format.js";
import { uuid7 } from "../../../lib/ids.js";

const own = spoken("ratings", { up: "Good answer", down: "Bad answer" });
const RATINGS = [["up", own.up], ["down", own.down]];
const THUMB = "M8 10.5L11.5 4a2 2 0 0 1 2 2v3.5h4.2a1.8 1.8 0 0 1 1.8 2.1l-1 6a2 2 0 0 1-2 1.7H8zM4.5 10.5H8v8.8H4.5z";

/** Two buttons of which one may be pressed; pressing that one again takes the rating back. */
export function Ratings({ store, open, message }) {
  return RATINGS.map(([rating, label]) => html`<button type="button" key=${rating} class=${`quiet-button rating rating-${rating}`} aria-label=${label} title=${label}
    aria-pressed=${message.rating === rating} onClick=${() => rate(store, open, message, message.rating === rating ? null : rating)}>
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${THUMB} /></svg></button>`);
}

/** Shows the rating before the log has confirmed it. The change has an id, so that a repeated request counts once. */
function rate(store, open, message, rating) {
  const before = message.rating;
  const show = (shown) => {
    message.rating = shown;
    open.tick(message.id).value += 1;
  };
  show(rating);
  // Another rating may have arrived meanwhile.
  const takeBack = () => message.rating === rating && show(before);
  const change = uuid7();
  return store.commands.runInOrder(message.id, () => api.rate(open.id, message.id, rating, change), takeBack);
}
