"""The price of the paid model, and the balance that the page shows."""

# The longest answer costs $0.82, and the shortest that Holdfast begins $0.04.
DEAR = {"prompt": "0.00001", "completion": "0.0002"}


def balance(page):
    return page.locator(".balance-amount")
