"""The search of billing's lists in the admin: by whatever one has in hand."""

import uuid
from itertools import islice
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.text import smart_split, unescape_string_literal
from django_stubs_ext import StrOrPromise

from accounts.models import GuestJoin, User
from billing.models import TopUp

# What begins so is one of Stripe's names, of a session, a payment or a charge.
STRIPE_NAMES = ("cs_", "pi_", "ch_", "py_")
# SQLite refuses a condition that is too deep.
MAX_WORDS = 10


class FoundByAnything(admin.ModelAdmin):  # type: ignore[type-arg]
    """A list whose rows are found by a person, an id, a payment or words."""

    # The field that holds the id of the person, whose address is shown and searched.
    person_field = "person_id"
    # What may be searched for. Django's own help would stand in for a label that can be seen.
    search_hint: StrOrPromise = ""
    # More fields with ids, which are looked for whole: by an index where there is one.
    id_fields: ClassVar[list[str]] = []
    # The one of these that names a top-up, if there is one.
    top_up_field = ""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Every word (of the first MAX_WORDS) is found: an id (whole), an address of somebody or of
        the account that a guest has joined, one of Stripe's names, or a part of one of the
        `search_fields`."""
        for bit in islice(smart_split(search_term), MAX_WORDS):
            word = unescape_string_literal(bit) if bit[0] in "\"'" and bit[-1] == bit[0] else bit
            queryset = queryset.filter(self._found_by(word))
        return queryset, False

    def _found_by(self, word: str) -> Q:
        try:
            return self._of_id(uuid.UUID(word))
        except ValueError:
            pass
        if word.startswith(STRIPE_NAMES):
            return self._of_payment(word)
        people = User.objects.filter(email__icontains=word)
        guests = GuestJoin.objects.filter(account__email__icontains=word)
        found = self._of_people(people.values("pk"), guests.values("guest_id"))
        for name in self.search_fields:
            found |= Q(**{f"{name}__icontains": word})
        return found

    def _of_id(self, wanted: uuid.UUID) -> Q:
        guests = GuestJoin.objects.filter(account_id=wanted)
        found = self._of_people([wanted], list(guests.values_list("guest_id", flat=True)))
        for name in self.id_fields:
            found |= Q(**{name: wanted})
        return found

    def _of_people(self, *ids: Any) -> Q:
        found = Q()
        for some in ids:
            found |= Q(**{f"{self.person_field}__in": some})
        return found

    def _of_payment(self, name: str) -> Q:
        """Rows of the top-up that Stripe has under this name; of its payer where rows name none."""
        top_ups = TopUp.objects.filter(
            Q(session_id=name) | Q(payment_intent_id=name) | Q(charge_id=name)
        )
        if self.top_up_field:
            return Q(**{f"{self.top_up_field}__in": top_ups.values("pk")})
        return self._of_people(top_ups.values("person_id"))
