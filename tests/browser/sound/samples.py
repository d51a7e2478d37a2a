"""Sounds to attach."""

import base64

from tests.browser.chat_page import ChatPage
from tests.browser.files.samples import File
from tests.browser.sound.recorder import RATE
from tests.chat.files.sounds import tone

# Records the microphone with the encoder of the browser; its files do not say how long they are.
ENCODE = """async (ms) => {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const encoder = new MediaRecorder(stream, { mimeType: "audio/webm;codecs=opus" });
  const blob = await new Promise((resolve) => {
    encoder.ondataavailable = ({ data }) => resolve(data);
    encoder.start();
    setTimeout(() => encoder.stop(), ms);
  });
  stream.getTracks().forEach((track) => track.stop());
  const bytes = new Uint8Array(await blob.arrayBuffer());
  return btoa(bytes.reduce((text, byte) => text + String.fromCharCode(byte), ""));
}"""


def tone_file(name: str = "tone.wav", seconds: float = 2) -> File:
    return {"name": name, "mimeType": "audio/wav", "buffer": tone(seconds, RATE)}


def webm(page: ChatPage, ms: int, name: str = "speech.webm") -> File:
    encoded = base64.b64decode(page.page.evaluate(ENCODE, ms))
    return {"name": name, "mimeType": "audio/webm", "buffer": encoded}
