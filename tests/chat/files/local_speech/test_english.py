"""Which texts the English voice reads."""

import pytest

from chat.files.local_speech.english import is_english

ENGLISH = [
    "The tide is the rise and the fall of the water.",
    "Yes.",
    "42",
    "Sure! Here is a short poem about Zoë and the naïve fox that you asked for.",
    "Use `asyncio.gather` when you want to run several coroutines at the same time.",
    "Bake it at 180 degrees for 25 minutes, then let it cool before cutting.",
]
OTHERS = [
    "Ebbe und Flut entstehen durch die Anziehung des Mondes, und zwar zweimal am Tag.",
    "Las mareas se deben a la fuerza de gravedad de la luna sobre el agua de los mares.",
    "Les marées viennent de la force de gravité que la lune exerce sur les eaux.",
    "Le maree nascono dalla forza di gravità della luna sopra le acque del mare.",
    "De getijden ontstaan door de aantrekkingskracht van de maan op het water in de zee.",
    "Pływy powstają pod wpływem siły grawitacji Księżyca.",
    "Приливы возникают из-за притяжения Луны.",
    "潮汐は月の引力によって起こります。",
    "Größe",
]


@pytest.mark.parametrize("text", ENGLISH)
def test_english_is_read(text):
    assert is_english(text)


@pytest.mark.parametrize("text", OTHERS)
def test_other_languages_are_not(text):
    assert not is_english(text)


def test_a_long_text_takes_little_time():
    assert not is_english("Ebbe und Flut " * 15_000)
