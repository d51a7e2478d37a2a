"""Billing in the admin: lists, reports and staff actions. Importing the package registers them."""

from billing.admin import ledger, people, prices, reports_pages, top_ups

__all__ = ["ledger", "people", "prices", "reports_pages", "top_ups"]
