"""Money, prices and usage. Each model is imported from here."""

from billing.models.ledger import AuditRequest, AuditRun, Hold, LedgerEntry, Purse, SignUpClaim
from billing.models.prices import Price
from billing.models.staff import Books
from billing.models.top_ups import StripeReconciliation, TopUp
from billing.models.usage import Usage

__all__ = [
    "AuditRequest",
    "AuditRun",
    "Books",
    "Hold",
    "LedgerEntry",
    "Price",
    "Purse",
    "SignUpClaim",
    "StripeReconciliation",
    "TopUp",
    "Usage",
]
