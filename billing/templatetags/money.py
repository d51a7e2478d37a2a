from django import template
from django.conf import settings

from billing.money import MICRO_PER_CENT, balance_dollars, dollars

register = template.Library()

register.filter("dollars", dollars)
register.filter("balance_dollars", balance_dollars)


@register.simple_tag
def money_matters() -> bool:
    """Whether billing is on; without it there are no pages about money."""
    return bool(settings.BILLING)


@register.filter
def signed_dollars(micro_usd: int) -> str:
    return dollars(micro_usd, sign=True)


@register.filter
def cents(amount: int) -> str:
    """Format an amount of cents as dollars."""
    return dollars(amount * MICRO_PER_CENT)
