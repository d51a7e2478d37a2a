// Formats amounts in micro-USD (a millionth of a dollar, whole numbers) for people, like
// billing/money.py: the same vectors test both.

const MICRO_PER_CENT = 10_000;
const MICRO_PER_USD = 1_000_000;

/**
 * "$1.23"; below a dollar two significant digits ("$0.26", "$0.0012"), but always the cents.
 * @param {number} microUsd
 */
export function dollars(microUsd, { sign = false } = {}) {
  const amount = Math.abs(microUsd);
  const unit = amount >= MICRO_PER_USD ? MICRO_PER_CENT : 10 ** Math.max(0, String(amount).length - 2);
  const rest = amount % unit;
  const rounded = amount - rest + (rest >= unit / 2 && rest > 0 ? unit : 0);
  return mark(microUsd, sign) + write(rounded);
}

/**
 * Whole cents, rounded down: a balance must not look like more than it is.
 * @param {number} microUsd
 */
export function balanceDollars(microUsd) {
  const cents = Math.floor(microUsd / MICRO_PER_CENT);
  return mark(cents, false) + write(Math.abs(cents) * MICRO_PER_CENT);
}

/**
 * @param {number} amount
 * @param {boolean} sign
 */
function mark(amount, sign) {
  if (amount < 0) return "−";
  return sign && amount > 0 ? "+" : "";
}

/** @param {number} amount */
function write(amount) {
  const whole = Math.floor(amount / MICRO_PER_USD);
  const digits = String(amount % MICRO_PER_USD).padStart(6, "0");
  const grouped = String(whole).replace(/\B(?=(\d{3})+$)/g, ",");
  return `$${grouped}.${digits.slice(0, 2)}${digits.slice(2).replace(/0+$/, "")}`;
}
