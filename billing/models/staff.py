"""Permissions of staff about money, attached to a model without a table."""

from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _


class Books(models.Model):
    """Entry for reports on the admin's index; carries the permissions."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        permissions: ClassVar = [
            ("give_credit", "Can give credit, up to a limit"),
            ("adjust_credit", "Can give and take any amount of credit"),
            ("refund_payment", "Can refund payments"),
            ("set_price", "Can set prices"),
            ("export_billing", "Can download lists of billing"),
        ]
        verbose_name = _("books and reports")
        verbose_name_plural = _("books and reports")

    def __str__(self) -> str:
        return "books"
