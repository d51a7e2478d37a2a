"""A Chromium whose microphone hears a sentence: sentence.wav, which flite has spoken."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser.chat_page import ChatPage
from tests.browser.conftest import ARGUMENTS
from tests.browser.sound.recogniser import Recogniser, running_recogniser
from tests.stack import Stack

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


@pytest.fixture(scope="session")
def recogniser() -> Iterator[Recogniser]:
    with running_recogniser() as running:
        yield running


@pytest.fixture(scope="session")
def hearing_stack(recogniser: Recogniser) -> Iterator[Stack]:
    """A stack that turns sound into text."""
    means = {"HOLDFAST_TRANSCRIPTION": "openai/recogniser"}
    with Stack(model_url=recogniser.base_url, workers=1, env=means) as running:
        yield running


@pytest.fixture
def heard(new_context: Callable[..., BrowserContext], hearing_stack: Stack) -> ChatPage:
    """The page of somebody whose speech can be turned into text."""
    return ChatPage(new_context().new_page(), hearing_stack.url).visit()
