"""Acts in the list of chats and in its search."""

from playwright.sync_api import expect


def row_menu(tab, title, item):
    row = tab.page.locator(".chat-row", has_text=title)
    row.hover()
    row.get_by_role("button", name=f"Options for “{title}”").click()
    tab.page.get_by_role("menuitem", name=item, exact=True).click()


def rename_first(tab, title):
    tab.chats.first.press("F2")
    field = tab.page.get_by_role("textbox", name="Title of the chat")
    field.fill(title)
    field.press("Enter")
    expect(tab.chats.first).to_contain_text(title)


def palette(tab):
    tab.page.keyboard.press("Control+k")
    field = tab.page.get_by_role("combobox", name="Search your chats, or find a command")
    expect(field).to_be_focused()
    return field


def appears(option):
    try:
        expect(option).to_be_visible(timeout=1_500)
    except AssertionError:
        return False
    return True
