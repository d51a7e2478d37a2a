"""Search in billing's lists in the admin, by address, id, Stripe id or text."""

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

# Prefixes of Stripe's ids of sessions, payments and charges.
STRIPE_ID_PREFIXES = ("cs_", "pi_", "ch_", "py_")
# SQLite refuses conditions that are nested too deeply.
MAX_WORDS = 10


class SearchableAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A list that can be searched by person, id, payment or text."""

    # The field with the person's id, whose address is shown and searched.
    person_field = "person_id"
    # Shown below the search. Django's `search_help_text` would replace the visible label.
    search_hint: StrOrPromise = ""
    # More fields with ids, which are matched exactly.
    id_fields: ClassVar[list[str]] = []
    # The one of `id_fields` with a top-up's id, if any.
    top_up_field = ""

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Each of the first MAX_WORDS words must match: a whole id, part of an address (of the
        person, or of the account that a guest joined), a Stripe id, or part of a search field."""
        for bit in islice(smart_split(search_term), MAX_WORDS):
            word = unescape_string_literal(bit) if bit[0] in "\"'" and bit[-1] == bit[0] else bit
            queryset = queryset.filter(self._matching(word))
        return queryset, False

    def _matching(self, word: str) -> Q:
        try:
            return self._of_id(uuid.UUID(word))
        except ValueError:
            pass
        if word.startswith(STRIPE_ID_PREFIXES):
            return self._of_payment(word)
        people = User.objects.filter(email__icontains=word)
        guests = GuestJoin.objects.filter(account__email__icontains=word)
        condition = self._of_people(people.values("pk"), guests.values("guest_id"))
        for name in self.search_fields:
            condition |= Q(**{f"{name}__icontains": word})
        return condition

    def _of_id(self, wanted: uuid.UUID) -> Q:
        guests = GuestJoin.objects.filter(account_id=wanted)
        condition = self._of_people([wanted], list(guests.values_list("guest_id", flat=True)))
        for name in self.id_fields:
            condition |= Q(**{name: wanted})
        return condition

    def _of_people(self, *ids: Any) -> Q:
        condition = Q()
        for person_ids in ids:
            condition |= Q(**{f"{self.person_field}__in": person_ids})
        return condition

    def _of_payment(self, stripe_id: str) -> Q:
        """Rows of the top-up with this Stripe id, or of its payer if rows have no top-up."""
        top_ups = TopUp.objects.filter(
            Q(session_id=stripe_id) | Q(payment_intent_id=stripe_id) | Q(charge_id=stripe_id)
        )
        if self.top_up_field:
            return Q(**{f"{self.top_up_field}__in": top_ups.values("pk")})
        return self._of_people(top_ups.values("person_id"))
