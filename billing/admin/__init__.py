"""Billing in the admin: lists, reports and the actions of staff. Importing it registers it."""

from billing.admin import ledger, people, prices, reports_pages, top_ups

__all__ = ["ledger", "people", "prices", "reports_pages", "top_ups"]
