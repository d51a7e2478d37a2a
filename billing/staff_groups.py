"""The default staff groups. Created once; later changes by an operator are kept."""

from typing import Any

SUPPORT = "Support"
FINANCE = "Finance"

_MODELS = ("purse", "ledgerentry", "hold", "usage", "topup", "price")
_VIEW = {("accounts", "view_user"), *(("billing", f"view_{name}") for name in _MODELS)}
PERMISSIONS = {
    SUPPORT: _VIEW | {("accounts", "view_securityevent"), ("billing", "give_credit")},
    FINANCE: _VIEW
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
    """Create the missing groups with their permissions. Runs after each migration."""
    from django.contrib.auth.models import Group, Permission

    for name, wanted in PERMISSIONS.items():
        group, is_new = Group.objects.using(using).get_or_create(name=name)
        if is_new:
            permissions = Permission.objects.using(using).select_related("content_type")
            group.permissions.set(
                permission
                for permission in permissions.filter(
                    content_type__app_label__in=("accounts", "billing")
                )
                if (permission.content_type.app_label, permission.codename) in wanted
            )
