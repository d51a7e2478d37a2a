"""The groups that staff is put into. Made once; what an operator changes afterwards stays."""

from typing import Any

SUPPORT = "Support"
FINANCE = "Finance"

_LISTS = ("purse", "ledgerentry", "hold", "usage", "topup", "price")
_SEEN = {("accounts", "view_user"), *(("billing", f"view_{name}") for name in _LISTS)}
PERMISSIONS = {
    SUPPORT: _SEEN | {("accounts", "view_securityevent"), ("billing", "give_credit")},
    FINANCE: _SEEN
    | {
        ("billing", name)
        for name in (
            "view_books",
            "view_auditrun",
            "give_credit",
            "adjust_credit",
            "refund_payment",
            "set_price",
            "export_billing",
        )
    },
}


def make_groups(using: str = "default", **_: Any) -> None:
    """After a migration: the groups that are not there yet, with their permissions."""
    from django.contrib.auth.models import Group, Permission

    for name, wanted in PERMISSIONS.items():
        group, is_new = Group.objects.using(using).get_or_create(name=name)
        if is_new:
            found = Permission.objects.using(using).select_related("content_type")
            group.permissions.set(
                permission
                for permission in found.filter(content_type__app_label__in=("accounts", "billing"))
                if (permission.content_type.app_label, permission.codename) in wanted
            )
