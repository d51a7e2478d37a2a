"""A Chromium whose microphone hears a sentence: sentence.wav, which flite has spoken."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import ARGUMENTS

SENTENCE = Path(__file__).with_name("sentence.wav")
MICROPHONE = [
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    f"--use-file-for-fake-audio-capture={SENTENCE}",
]


@pytest.fixture(scope="package")
def browser(browser: Browser, browser_path: str) -> Iterator[Browser]:
    arguments = [*ARGUMENTS, *MICROPHONE]
    launched = browser.browser_type.launch(executable_path=browser_path, args=arguments)
    yield launched
    launched.close()
