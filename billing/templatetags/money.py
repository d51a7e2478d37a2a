from django import template
from django.conf import settings

from billing.money import MICRO_PER_CENT, balance_dollars, dollars

register = template.Library()

register.filter("dollars", dollars)
register.filter("balance_dollars", balance_dollars)


@register.simple_tag
def money_matters() -> bool:
    """Whether people pay here at all: otherwise there are no pages about it."""
    return bool(settings.BILLING)


@register.filter
def signed_dollars(micro_usd: int) -> str:
    return dollars(micro_usd, sign=True)


@register.filter
def cents(amount: int) -> str:
    """An amount in cents, in dollars."""
    return dollars(amount * MICRO_PER_CENT)
