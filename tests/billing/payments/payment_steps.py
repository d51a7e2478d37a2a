"""Steps of a payment at Stripe, and the amounts that must then be booked."""

import uuid

CREDITED = {"top_up": 22_000_000, "fee": -2_000_000}
STEPS = ("pay", "bank", "settle", "fail", "refund 333", "refund 1000", "refund", "staff 7")
STEPS += ("staff 333", "fail_refund", "fail_refund_unseen", "dispute", "dispute 500", "win")
STEPS += ("lose", "appeal", "expire")
NOTE = {"staff": str(uuid.uuid4()), "reason": "Asked for"}


def carry_out(fake, session_id, action):
    """Perform a step if the payment's state allows it; Stripe refuses it otherwise."""
    name, _, cents = action.partition(" ")
    amount = [int(cents)] if cents else []
    calls = {
        "pay": lambda: fake.pay(session_id),
        "bank": lambda: fake.pay(session_id, "bank"),
        "settle": lambda: fake.settle(session_id),
        "fail": lambda: fake.settle(session_id, succeeds=False),
        "refund": lambda: fake.refund(session_id, *amount),
        "staff": lambda: fake.refund(session_id, *amount, NOTE),
        "fail_refund": lambda: fake.fail_refund(session_id),
        "dispute": lambda: fake.dispute(session_id, *amount),
        "win": lambda: fake.close_dispute(session_id, won=True),
        "lose": lambda: fake.close_dispute(session_id, won=False),
        "appeal": lambda: fake.update_dispute(session_id, "appeal_needs_response", [-1]),
        "fail_refund_unseen": lambda: fake.fail_refund(session_id, charge_follows=False),
        "expire": lambda: fake.expire(session_id),
    }
    session = fake.sessions[session_id]
    paid = session["payment_status"] == "paid"
    processing = session["status"] == "complete" and not paid
    possible = {"settle": processing, "fail": processing, "expire": session["status"] == "open"}
    possible |= {"pay": session["status"] == "open", "bank": session["status"] == "open"}
    has_dispute = paid and any(fake.disputes.values())
    possible |= {"win": has_dispute, "lose": has_dispute, "dispute": paid and not has_dispute}
    possible |= {"appeal": has_dispute}
    standing = paid and fake._charge_of(session_id)["amount_refunded"]
    left = paid and 2_200 - standing
    possible |= dict.fromkeys(("refund", "staff"), paid and left >= (amount or [1])[0])
    fails = bool(standing) and list(fake.refunds.values())[-1]["status"] != "failed"
    possible |= {"fail_refund": fails, "fail_refund_unseen": fails}
    if possible[name]:
        calls[name]()


def expected(fake, top_up):
    """The amounts that must be booked, computed from the state at Stripe."""
    session = fake.sessions[top_up.session_id]
    if session["payment_status"] != "paid":
        return {}
    refunded = sum(
        refund["amount"] for refund in fake.refunds.values() if refund["status"] == "succeeded"
    )
    lasting = ("needs_response", "lost", "appeal_needs_response")
    disputed = sum(
        dispute["amount"] for dispute in fake.disputes.values() if dispute["status"] in lasting
    )
    by_refunds = 20_000_000 * refunded // 2_200
    by_both = 20_000_000 * min(2_200, refunded + disputed) // 2_200
    sums = {"refund": -by_refunds, "dispute": by_refunds - by_both}
    return CREDITED | {kind: amount for kind, amount in sums.items() if amount}
