"""A person's pages about credit: balance, history and top-ups."""

import logging
import re
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlencode

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from accounts import limits
from accounts.errors import LimitReached
from accounts.models import User
from accounts.preferences.locale import zone_name
from accounts.refusals import refusal_response
from billing.models import LedgerEntry, TopUp
from billing.pages import statements
from billing.pages.csv_files import CSV_BATCH, csv_response, escape_formula, iso_time, usd
from billing.pages.decorators import person_page
from billing.payments import stripe_api
from billing.payments import top_ups as orders
from billing.payments.stripe_errors import PaymentError

logger = logging.getLogger(__name__)

LINES_A_PAGE = 50
# How often the page after Checkout reloads itself.
MAX_AUTO_RELOADS = 15


@never_cache
@require_safe
@person_page
def overview(request: HttpRequest, person: User) -> HttpResponse:
    """Balance, amounts to add, and history; for guests, how to get more credit."""
    return _overview(request, person)


def _overview(
    request: HttpRequest, person: User, status: HTTPStatus = HTTPStatus.OK
) -> HttpResponse:
    # Comes first, because it may find that the order was paid.
    left = _left_at_checkout(request, person)
    page = Paginator(statements.history(person.id), LINES_A_PAGE).get_page(request.GET.get("page"))
    context = {
        "standing": statements.standing(person),
        "lines": statements.lines_of(person.id, page.object_list, explained=True),
        "page": page,
        "quotes": orders.quotes() if _may_top_up(person) else [],
        "sells": stripe_api.enabled(),
        "left": left,
        "chosen_cents": left.credit_cents if left else _chosen_cents(request),
        "fee_percent": orders.FEE_PERCENT,
        "new_id": uuid.uuid4(),
        "next": _next(request),
        "open_top_ups": _waiting(person),
        "sign_up_credit": settings.CREDIT_SIGN_UP_MICRO_USD,
        "free_credit": settings.CREDIT_FREE_MICRO_USD,
        "time_zone": zone_name(),
    }
    return render(request, "billing/overview.html", context, status=status)


@never_cache
@require_POST
@person_page
def top_ups(request: HttpRequest, person: User) -> HttpResponse:
    """Order `credit` cents and redirect to Checkout. The page contains the order's `id`, so that a
    double click makes one order."""
    if person.is_guest:
        return redirect_to_login(reverse("billing:overview"))
    if not _may_top_up(person):
        raise Http404
    requested = _requested_order(request)
    if requested is None:
        return _back(request, _("Choose one of the amounts."))
    try:
        limits.take("LIMIT_TOP_UPS_PER_HOUR_USER", person.id.hex)
    except LimitReached as limit:
        return _too_often(request, person, limit)
    top_up = orders.order(person.id, *requested)
    if top_up is None:
        return _back(request, _("This page was out of date. Choose the amount again."))
    return _to_checkout(request, person, top_up)


def _to_checkout(request: HttpRequest, person: User, top_up: TopUp) -> HttpResponse:
    page = reverse("billing:top-up", args=[top_up.id])
    try:
        url = orders.open_session(
            top_up,
            email=person.email or "",
            success_url=_address(request, f"{page}?{_query('from=checkout', request)}"),
            cancel_url=_address(
                request, f"{reverse('billing:overview')}?{_query(f'left={top_up.id}', request)}"
            ),
        )
    except PaymentError as error:
        return _back(request, error.message)
    # Without a URL it is paid or expired, and its own page says which.
    response = redirect(url or page)
    response.status_code = HTTPStatus.SEE_OTHER
    return response


@never_cache
@require_safe
@person_page
def top_up(request: HttpRequest, person: User, top_up_id: uuid.UUID) -> HttpResponse:
    """State of a top-up, and its receipt. Checkout returns here, and the view books the credit if
    no webhook was quicker."""
    order = _refreshed(get_object_or_404(TopUp, id=top_up_id, person_id=person.id))
    context = {
        "top_up": order,
        "lines": orders.lines(order),
        "email": person.email,
        "waits": _waits(order, request),
        "look_again": _look_again(order, request),
        "standing": statements.standing(person),
        "next": _next(request),
    }
    return render(request, "billing/top_up.html", context)


def _refreshed(top_up: TopUp) -> TopUp:
    """Refresh the top-up from Stripe; return it unchanged if Stripe is unavailable."""
    if top_up.is_ended or not stripe_api.enabled():
        return top_up
    try:
        return orders.refresh_if_stale(top_up)
    except PaymentError:
        logger.warning("could not refresh top-up %s", top_up.id, exc_info=True)
        return top_up


def _waits(top_up: TopUp, request: HttpRequest) -> bool:
    """Whether the person returned from Checkout before Stripe reports the payment, which takes
    seconds."""
    return top_up.state == TopUp.State.OPEN and request.GET.get("from") == "checkout"


def _look_again(top_up: TopUp, request: HttpRequest) -> str:
    """URL to which the page reloads itself; "" if it does not."""
    looks = request.GET.get("looks", "0")
    count = int(looks) if re.fullmatch("[0-9]{1,2}", looks) else MAX_AUTO_RELOADS
    if not _waits(top_up, request) or count >= MAX_AUTO_RELOADS:
        return ""
    return f"?{_query(f'from=checkout&looks={count + 1}', request)}"


# Downloads


@never_cache
@require_safe
@person_page
def history_csv(request: HttpRequest, person: User) -> HttpResponseBase:
    header = ["entry", "at", "kind", "what", "detail", "amount_usd", "balance_after_usd"]
    rows = _history_rows(person.id, statements.history(person.id).order_by("id"))
    return csv_response("holdfast-history", header, rows)


def _history_rows(person_id: uuid.UUID, entries: QuerySet[LedgerEntry]) -> Iterator[list[object]]:
    batch = list(entries[:CSV_BATCH])
    while batch:
        for entry, line in zip(batch, statements.lines_of(person_id, batch), strict=True):
            amounts = [usd(line.amount_micro_usd), usd(line.balance_after_micro_usd)]
            texts = [escape_formula(line.title), escape_formula(line.detail)]
            yield [entry.id, iso_time(line.at), line.kind, *texts, *amounts]
        batch = list(entries.filter(id__gt=batch[-1].id)[:CSV_BATCH])


# Private


def _may_top_up(person: User) -> bool:
    return stripe_api.enabled() and not person.is_guest


def _requested_order(request: HttpRequest) -> tuple[uuid.UUID, int] | None:
    try:
        top_up_id, cents = uuid.UUID(request.POST["id"]), int(request.POST["credit"])
    except (KeyError, ValueError):
        return None
    return (top_up_id, cents) if cents in orders.CREDITS_CENTS else None


def _back(request: HttpRequest, message: str) -> HttpResponse:
    messages.error(request, message)
    return redirect("billing:overview")


def _too_often(request: HttpRequest, person: User, limit: LimitReached) -> HttpResponse:
    """429: the page with a message, keeping the chosen amount; JSON for API clients."""
    if not request.accepts("text/html"):
        return refusal_response(limit)
    messages.error(request, limit.message)
    response = _overview(request, person, limit.status)
    for name, value in limit.headers.items():
        response[name] = value
    return response


def _chosen_cents(request: HttpRequest) -> int:
    requested = _requested_order(request)
    return requested[1] if requested else orders.CREDITS_CENTS[1]


def _left_at_checkout(request: HttpRequest, person: User) -> TopUp | None:
    """The unpaid order from whose Checkout page the person came back (`left`)."""
    try:
        top_up_id = uuid.UUID(request.GET.get("left", ""))
    except ValueError:
        return None
    top_up = TopUp.objects.filter(id=top_up_id, person_id=person.id, state=TopUp.State.OPEN).first()
    top_up = _refreshed(top_up) if top_up else None
    return top_up if top_up and top_up.state == TopUp.State.OPEN else None


def _next(request: HttpRequest) -> str:
    """Path of the page to return to: `next` if it is ours, else "/"."""
    parameters = request.POST if request.method == "POST" else request.GET
    path = parameters.get("next", "")
    is_ours = path.startswith("/") and url_has_allowed_host_and_scheme(path, allowed_hosts=None)
    return path if is_ours else "/"


def _query(first: str, request: HttpRequest) -> str:
    return "&".join(filter(None, [first, urlencode({"next": _next(request)})]))


def _address(request: HttpRequest, path: str) -> str:
    """Absolute URL, to which Stripe sends people back."""
    return settings.URL + path if settings.URL else request.build_absolute_uri(path)


def _waiting(person: User) -> QuerySet[TopUp]:
    """Top-ups whose bank payment has not arrived yet."""
    return TopUp.objects.filter(person_id=person.id, state=TopUp.State.PROCESSING)
