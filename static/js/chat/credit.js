// The person's credit: the balance that the server sent last, and whether it refused something for
// lack of credit.
import { computed, signal } from "../signals.js";
import { remember, remembered } from "./lib/storage.js";

const CODES = new Set(["out_of_credit"]);
const SEEN_LOW = "credit:low-seen";

export class Credit {
  /** {balance_micro_usd, held_micro_usd, level, free_credit_at, can_top_up,
   * can_use_own_keys, sign_up_micro_usd}, or null: nobody pays. */
  balance;
  /** {message}: what the server said when it refused, until there is more credit or it was dismissed. */
  refused = signal(null);
  /** How often that was, so far. */
  refusals = 0;
  #isLowSeen = signal(remembered(SEEN_LOW) === "1");
  #isFree;

  /** @param isFree whether the model that is chosen costs nothing; read by a computed */
  constructor(balance, isFree = () => false) {
    this.balance = signal(balance ?? null);
    this.#isFree = isFree;
  }

  /** What to tell: {kind: "refused" | "empty" | "low", message}, or null. */
  notice = computed(() => {
    const balance = this.balance.value;
    if (this.refused.value) return { kind: "refused", ...this.refused.value };
    // Whoever writes to a model that costs nothing needs no credit.
    if (!balance || balance.level === "ok" || this.#isFree()) return null;
    if (balance.level === "low" && this.#isLowSeen.value) return null;
    return { kind: balance.level, message: null };
  });

  /** The server has told how much there is. */
  set(balance) {
    const before = this.balance.peek();
    this.balance.value = balance;
    const grew = balance && before && balance.balance_micro_usd > before.balance_micro_usd;
    // What was refused can be sent now; the person does it, for the text may have changed.
    if (grew && balance.level !== "empty") this.refused.value = null;
    if (balance?.level === "ok") this.#setLowSeen(false);
  }

  /** Whether this refusal is about credit: then the notice says so, not a toast. */
  takesRefusal(error) {
    if (!CODES.has(error.code)) return false;
    // A new object each time: the same refusal again is told again.
    this.refusals += 1;
    this.refused.value = { message: error.message };
    return true;
  }

  /** Put the notice away: for good while it is about a balance that is merely low. */
  dismiss() {
    if (this.refused.peek()) this.refused.value = null;
    else this.#setLowSeen(true);
  }

  #setLowSeen(isSeen) {
    this.#isLowSeen.value = isSeen;
    remember(SEEN_LOW, isSeen ? "1" : "");
  }
}
