"""Explains how the cost of a call adds up, for its payer and for staff: tokens by kind times price.

Read-only. Everything follows from the usage row and its price version.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.formats import date_format
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from billing.models import Price, Usage
from billing.money import MICRO_PER_USD
from billing.prices import versions as prices
from billing.token_usage import TokenUsage

KINDS = {
    "input": _("read"),
    "audio": _("of sound, read"),
    "cached_input": _("read from the provider’s cache"),
    "cache_write": _("read and put into the provider’s cache"),
    "image_input": _("of pictures, read"),
    "output": _("written"),
    "image_output": _("of pictures, made"),
    "audio_output": _("of sound, made"),
    "reasoning": _("of reasoning"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of token: their number, USD per million, and the exact amount in USD. The rows of
    the price per request and of the length of sound have 0 tokens."""

    kind: str
    tokens: int
    rate: str
    amount: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """`rows` follow the price, even when the provider's own figure counts. `sentences` say which
    cost counted, and why less was charged, if it was."""

    rows: list[Row]
    sentences: list[str]


def explain(usage: Usage) -> Explanation:
    """Explains a call; a free call has no rows, only the reason why it is free."""
    if usage.price is None:
        reason = gettext("Not charged: %(reason)s.") % {"reason": usage.get_free_display()}
        return Explanation([], [reason])
    parts = [
        part for part in prices.parts_of(usage.price, TokenUsage.from_row(usage)) if part.count
    ]
    sound = Decimal(usage.sound_ms or 0) / 1_000
    characters = usage.characters or 0
    without_tokens = {
        "sound": _("for %(s)s s of sound") % {"s": f"{sound.normalize():f}"},
        "characters": ngettext(
            "for %(count)s character read aloud",
            "for %(count)s characters read aloud",
            characters,
        )
        % {"count": intcomma(characters)},
    }
    rows = [
        Row(
            str(KINDS.get(part.kind) or without_tokens.get(part.kind, _("for the request"))),
            part.count if part.kind in KINDS else 0,
            exact_dollars(Decimal(part.rate_micro_usd)) if part.kind in KINDS else "",
            exact_dollars(part.micro_usd),
        )
        for part in parts
    ]
    total = sum((part.micro_usd for part in parts), Decimal())
    sentences = [*_what_counts(usage, total), *_what_was_paid(usage), _which_price(usage.price)]
    return Explanation(rows, sentences)


def lines_of(usages: Iterable[Usage]) -> dict[str, list[str]]:
    """{key: sentences}. The key is that of the usage and of its charge."""
    return {usage.key: _lines(usage) for usage in usages}


def exact_dollars(micro_usd: Decimal) -> str:
    """The amount with all its digits, but at least the cents: "$0.00018515"."""
    whole, _dot, rest = f"{micro_usd / MICRO_PER_USD:.12f}".partition(".")
    return f"${int(whole):,}.{rest[:2]}{rest[2:].rstrip('0')}"


# Private


def _lines(usage: Usage) -> list[str]:
    explanation = explain(usage)
    by_provider = usage.cost_by_provider
    rows = [row for row in explanation.rows if row.tokens or not by_provider]
    return [_line(row, by_provider) for row in rows] + explanation.sentences


def _line(row: Row, by_provider: bool) -> str:
    if not row.tokens:
        kind = row.kind[:1].upper() + row.kind[1:]
        return gettext("%(kind)s: %(amount)s") % {"kind": kind, "amount": row.amount}
    values = {"tokens": intcomma(row.tokens), "kind": row.kind}
    count = ngettext("%(tokens)s token %(kind)s", "%(tokens)s tokens %(kind)s", row.tokens)
    tokens = count % values
    if by_provider:
        return tokens
    price = {"said": tokens, "rate": row.rate, "amount": row.amount}
    return gettext("%(said)s, at %(rate)s a million: %(amount)s") % price


def _what_counts(usage: Usage, total: Decimal) -> list[str]:
    cost = {"cost": exact_dollars(Decimal(usage.cost_micro_usd)), "total": exact_dollars(total)}
    if usage.cost_by_provider:
        sentence = gettext("The provider says that it cost %(cost)s, and that is what counts.")
        return [sentence % cost]
    sentence = (
        gettext("Together %(cost)s.")
        if total == usage.cost_micro_usd
        else gettext("Together %(total)s, rounded up to %(cost)s.")
    )
    sentences = [sentence % cost]
    if usage.estimated and usage.purpose == Usage.Purpose.ANSWER and not usage.completion_tokens:
        sentences.append(
            gettext(
                "It was stopped while the provider was still reading, before it wrote anything."
            )
        )
    if usage.estimated:
        why = gettext("We counted the tokens: the provider gave no count that can be used.")
        sentences.append(why)
    return sentences


def _what_was_paid(usage: Usage) -> list[str]:
    if usage.charged_micro_usd == usage.cost_micro_usd:
        return []
    if not usage.charged_micro_usd:
        return [gettext("Nothing was set aside for it any more, so nothing was taken.")]
    sentence = gettext("%(charged)s was set aside for it, and no more was taken.")
    return [sentence % {"charged": exact_dollars(Decimal(usage.charged_micro_usd))}]


def _which_price(price: Price) -> str:
    values = {
        "version": price.version,
        "model": price.model,
        "day": date_format(price.valid_from, "DATE_FORMAT"),
        "source": price.get_source_display(),
    }
    sentence = gettext("Price version %(version)d of %(model)s, since %(day)s, by %(source)s.")
    return sentence % values
