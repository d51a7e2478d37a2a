// The person's credit: the last balance from the server, and whether the server refused something for
// lack of credit.
import { computed, signal } from "../signals.js";
import { remember, remembered } from "./lib/storage.js";

const CODES = new Set(["out_of_credit"]);
const SEEN_LOW = "credit:low-seen";

export class Credit {
  /** {balance_micro_usd, held_micro_usd, level, free_credit_at, can_top_up,
   * can_use_own_keys, sign_up_micro_usd}, or null if nobody pays. */
  balance;
  /** {message}: the server's reason for the last refusal, until credit is added or the notice is dismissed. */
  refused = signal(null);
  /** The number of refusals so far. */
  refusals = 0;
  #isLowSeen = signal(remembered(SEEN_LOW) === "1");
  #isFree;

  /** @param isFree whether the model that is chosen costs nothing; read by a computed */
  constructor(balance, isFree = () => false) {
    this.balance = signal(balance ?? null);
    this.#isFree = isFree;
  }

  /** The notice to show: {kind: "refused" | "empty" | "low", message}, or null. */
  notice = computed(() => {
    const balance = this.balance.value;
    if (this.refused.value) return { kind: "refused", ...this.refused.value };
    // A model that costs nothing needs no credit.
    if (!balance || balance.level === "ok" || this.#isFree()) return null;
    if (balance.level === "low" && this.#isLowSeen.value) return null;
    return { kind: balance.level, message: null };
  });

  /** The server has sent a new balance. */
  set(balance) {
    const before = this.balance.peek();
    this.balance.value = balance;
    const grew = balance && before && balance.balance_micro_usd > before.balance_micro_usd;
    // The refused message can be sent now, but only by the person, because the text may have changed.
    if (grew && balance.level !== "empty") this.refused.value = null;
    if (balance?.level === "ok") this.#setLowSeen(false);
  }

  /** Returns whether this refusal is about credit; the notice then shows it instead of a toast. */
  takesRefusal(error) {
    if (!CODES.has(error.code)) return false;
    // A new object each time, so that a repeated refusal is announced again.
    this.refusals += 1;
    this.refused.value = { message: error.message };
    return true;
  }

  /** Close the notice. That of a low balance stays closed until the balance is normal again. */
  dismiss() {
    if (this.refused.peek()) this.refused.value = null;
    else this.#setLowSeen(true);
  }

  #setLowSeen(isSeen) {
    this.#isLowSeen.value = isSeen;
    remember(SEEN_LOW, isSeen ? "1" : "");
  }
}
