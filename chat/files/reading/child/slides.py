"""Reads presentations: the text of each slide and its notes."""

from collections.abc import Mapping

from chat.files.reading.child.archives import Archive
from chat.files.reading.child.extracted import Extracted
from chat.files.reading.child.refusals import Refused
from chat.files.reading.child.runs import text_of
from chat.files.reading.child.xml_parts import parse, related


def extract(archive: Archive, main: str, extracted: Extracted, most_slides: int) -> int:
    """The number of slides."""
    slides = _slides(archive, main)
    if len(slides) > most_slides:
        raise Refused("too_long")
    for number, slide in enumerate(slides, 1):
        if extracted.is_cut:
            break
        notes = [target for _, kind, target in related(archive, slide) if kind == "notesSlide"]
        texts = [text_of(archive, part, extracted.left) for part in (slide, *notes)]
        extracted.add(number, "\n\n".join(text for text in texts if text.strip()))
    return len(slides)


def _slides(archive: Archive, main: str) -> list[str]:
    """The slides in their order."""
    targets = {key: target for key, kind, target in related(archive, main) if kind == "slide"}
    slides: list[str] = []

    def start(name: str, attributes: Mapping[str, str]) -> None:
        # `id` is there twice, once in the namespace of relations; only that one has a target.
        if name == "sldId":
            slides.extend(targets[key] for key in attributes.values() if key in targets)

    parse(archive, main, start)
    return slides
