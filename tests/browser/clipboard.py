"""Pastes into the composer."""

PASTE = """([field, text]) => {
  const data = new DataTransfer();
  data.setData("text/plain", text);
  const options = { clipboardData: data, bubbles: true, cancelable: true };
  field.dispatchEvent(new ClipboardEvent("paste", options));
}"""


def paste(alice, text):
    alice.page.evaluate(PASTE, [alice.field.element_handle(), text])
