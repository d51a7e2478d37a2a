"""Payments with Stripe: top-ups, webhooks, reconciliation and receipts."""
