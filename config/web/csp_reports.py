"""Receives browsers' reports of violations of the content security policy.

Anybody can post here. So only a little is read, only a few reports a minute are logged for each
address, and a log line has only the rule, the blocked origin and the page, without anything that
could be a secret or could pass for another log line.
"""

import logging
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import orjson
from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from accounts import limits
from accounts.client_address import address_group, client_address
from accounts.errors import LimitReached

logger = logging.getLogger(__name__)

MAX_REPORT_BYTES = 16_384
MAX_REPORTS = 5
TYPES = {"application/csp-report", "application/reports+json", "application/json"}
_UNSAFE = re.compile(r"[^A-Za-z0-9/._:~%-]")


@csrf_exempt  # The browser sends reports by itself, without a token. They change nothing.
@require_POST
async def csp_reports(request: HttpRequest) -> HttpResponse:
    """Log the reports. The response is always empty, even if none is logged; 429 past the limit."""
    try:
        group = address_group(client_address(request))
        await sync_to_async(limits.take)("LIMIT_CSP_REPORTS_PER_MINUTE_ADDRESS", group)
    except LimitReached as error:
        return HttpResponse(status=error.status, headers=error.headers)
    body = request.read(MAX_REPORT_BYTES + 1)
    if request.content_type in TYPES and len(body) <= MAX_REPORT_BYTES:
        for report in _reports(body)[:MAX_REPORTS]:
            logger.warning("content security policy: %s kept %s out of %s", *report)
    return HttpResponse(status=HTTPStatus.NO_CONTENT)


def _reports(body: bytes) -> list[tuple[str, str, str]]:
    """(rule, blocked origin, path of the page) of each report, in the old form or the new one."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return []
    items = parsed if isinstance(parsed, list) else [parsed]
    reports = []
    for item in items:
        report = item.get("csp-report") or item.get("body") if isinstance(item, dict) else None
        if isinstance(report, dict):
            reports.append(_summary(report))
    return reports


def _summary(report: dict[str, Any]) -> tuple[str, str, str]:
    rule = report.get("effective-directive") or report.get("effectiveDirective") or "?"
    blocked = report.get("blocked-uri") or report.get("blockedURL") or "?"
    page = report.get("document-uri") or report.get("documentURL") or "?"
    return _safe(rule), _safe(_origin(blocked)), _safe(_path(page))


def _origin(url: object) -> str:
    """Scheme and host alone: the rest of a URL may hold what somebody wrote."""
    try:
        parts = urlsplit(str(url)[:2_000])
        return f"{parts.scheme}://{parts.hostname}" if parts.hostname else str(url)[:40]
    except ValueError:
        return "?"


def _path(url: object) -> str:
    try:
        return urlsplit(str(url)[:2_000]).path
    except ValueError:
        return "?"


def _safe(text: object) -> str:
    return _UNSAFE.sub("?", str(text)[:120])
