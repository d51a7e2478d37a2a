"""Payments by Stripe: top-ups, webhooks, reconciliation and receipts."""
