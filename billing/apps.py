from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BillingConfig(AppConfig):
    name = "billing"
    verbose_name = _("Billing")

    def ready(self) -> None:
        from django.contrib.auth.signals import user_logged_in
        from django.db.models.signals import post_migrate

        from accounts import personal_data_registry
        from billing.balance_news import notify_person
        from billing.grants import on_signed_in
        from billing.ledger import on_change
        from billing.payments import checks as payment_checks  # noqa: F401 (registers its checks)
        from billing.personal_data.handlers import personal_data
        from billing.staff_groups import make_groups

        user_logged_in.connect(on_signed_in, dispatch_uid="billing.grants")
        post_migrate.connect(make_groups, sender=self)
        personal_data_registry.register(personal_data)
        if notify_person not in on_change:
            on_change.append(notify_person)
