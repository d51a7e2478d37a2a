import { html } from "../../../preact.js";
import { costsOf } from "../../log/costs.js";
import { shortModelName } from "../../lib/format.js";
import { isComposing } from "../../lib/input_method.js";
import { dollars } from "../../lib/money.js";
import { text } from "../../text.js";

/** The cost of the chat, in its head, with the cost of each model. */
export function ChatCost({ store }) {
  const open = store.current.value;
  open?.shape.value;
  const balance = store.credit.balance.value;
  if (!open || !balance) return null;
  const { total, ofKeys, rows } = costsOf(open.transcript);
  if (total + ofKeys === 0) return null;
  const shown = dollars(total || ofKeys);
  const said = total ? text.chatCost(shown) : text.chatCostOfKeys(shown);
  return html`<details key=${open.id} class="chat-cost" onKeyDown=${closeOnEscape} onFocusOut=${closeWhenLeft}>
    <summary class="chat-cost-total" aria-label=${said} title=${said}>${shown}</summary>
    <div class="chat-cost-box">
      <table><caption>${text.chatCostTitle}</caption>
        <tbody>${rows.map((row) => html`<tr key=${row.model}>
          <th scope="row">${nameOf(store, row.model)}<span class="meta">${text.answersAndTokens(row.answers, row.tokens)}</span></th>
          <td>${priceOf(row)}</td></tr>`)}</tbody>
      </table>
      <a class="link-button" href=${`/billing/usage?chat=${open.id}`}>${text.allUsage}</a>
    </div>
  </details>`;
}

const nameOf = (store, id) => store.models.value.find((model) => model.id === id)?.name ?? shortModelName(id);

function priceOf({ cost, isOwn }) {
  if (isOwn) return cost ? text.onOwnKey(dollars(cost)) : text.onOwnKeyAlone;
  return cost ? dollars(cost) : text.free;
}

function closeOnEscape(event) {
  if (event.key !== "Escape" || isComposing(event) || !event.currentTarget.open) return;
  event.stopPropagation();
  event.currentTarget.open = false;
  event.currentTarget.querySelector("summary").focus();
}

function closeWhenLeft(event) {
  if (event.relatedTarget && !event.currentTarget.contains(event.relatedTarget)) event.currentTarget.open = false;
}
