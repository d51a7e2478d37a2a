from django.db import models
from django.utils.translation import gettext_lazy as _


class UserLog(models.Model):
    """A user's log, for the admin and its permissions. It has no table: logs are in Redis."""

    class Meta:
        managed = False
        default_permissions = ("view",)
        verbose_name = _("user log")
        verbose_name_plural = _("user logs")

    def __str__(self) -> str:
        return f"user log {self.pk}"
