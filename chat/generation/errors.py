"""Errors that end a reply, other than the provider's own (chat/llm/errors.py)."""

ATTEMPTS_SPENT = "attempts_spent"
INTERNAL_ERROR = "internal_error"
OUT_OF_CREDIT = "out_of_credit"
CREDIT_HELD = "credit_held"
NO_PRICE = "no_price"
SENTENCES = {
    ATTEMPTS_SPENT: (
        "This answer was interrupted too often. What was written is kept; you can continue it."
    ),
    OUT_OF_CREDIT: (
        "Your credit did not reach further. What was written is kept; continue the answer with "
        "what is left, or add credit first."
    ),
    CREDIT_HELD: (
        "Your credit is set aside for other answers. What was written is kept; continue this one "
        "when they have ended."
    ),
    NO_PRICE: "It is not known what this model costs, so it cannot be used. Choose another model.",
    INTERNAL_ERROR: "Something went wrong on our side. What was written is kept; try again.",
}
# The same request would fail again after these errors.
NOT_RETRYABLE = frozenset({"context_too_long", "bad_request", "refused"})
