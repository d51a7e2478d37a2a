"""Formats amounts for people, as static/js/chat/lib/money.js does (tests/vectors/money.json).

Money is a whole number of micro-USD (millionths of a dollar) everywhere; cents are used with Stripe
only. Rounding here affects the display, never what is charged.
"""

MICRO_PER_CENT = 10_000
MICRO_PER_USD = 1_000_000


def dollars(micro_usd: int, *, sign: bool = False) -> str:
    """ "$1.23"; below a dollar two significant digits ("$0.26", "$0.0012"), but always the cents.

    `sign` puts a plus before positive amounts. Never uses exponents.
    """
    amount = abs(micro_usd)
    unit = MICRO_PER_CENT if amount >= MICRO_PER_USD else 10 ** max(0, len(str(amount)) - 2)
    return _mark(micro_usd, sign) + _text((amount + unit // 2) // unit * unit)


def balance_dollars(micro_usd: int) -> str:
    """Whole cents, rounded down, so that a balance never looks higher than it is."""
    cents = micro_usd // MICRO_PER_CENT
    return _mark(cents, sign=False) + _text(abs(cents) * MICRO_PER_CENT)


def _mark(amount: int, sign: bool) -> str:
    return "−" if amount < 0 else "+" if sign and amount > 0 else ""


def _text(amount: int) -> str:
    whole, rest = divmod(amount, MICRO_PER_USD)
    digits = f"{rest:06d}"
    return f"${whole:,}.{digits[:2]}{digits[2:].rstrip('0')}"
