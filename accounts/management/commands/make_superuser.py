"""`manage.py make_superuser ADDRESS`: make an administrator of somebody who has an account."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User


class Command(BaseCommand):
    help = (
        "Make an administrator of an existing account. "
        "`manage.py createsuperuser` makes an account as well."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("address", help="the email address of the account")

    def handle(self, *_args: Any, address: str, **_options: Any) -> None:
        person = User.objects.filter(email=address.strip().lower()).first()
        if person is None:
            raise CommandError(
                f"No account has the address {address}. `manage.py createsuperuser` makes one."
            )
        if not person.may_act:
            raise CommandError(f"{person} is suspended or about to be deleted.")
        person.is_staff = person.is_superuser = True
        person.save(update_fields=["is_staff", "is_superuser"])
        self.stdout.write(f"{person} is an administrator now. The admin is at /admin/.")
