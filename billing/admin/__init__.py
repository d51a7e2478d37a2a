"""Billing in the admin: lists, reports and staff actions. Importing the package registers them."""

from billing.admin import home, ledger, people, prices, reports_pages, top_ups

__all__ = ["home", "ledger", "people", "prices", "reports_pages", "top_ups"]
