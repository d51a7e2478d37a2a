"""Reads PDF files with PDFium: the text of each page; pages without text become pictures."""

import pypdfium2 as pdfium
from PIL import Image

from chat.files.reading.child import magic
from chat.files.reading.child.encoding import write_page, write_thumb
from chat.files.reading.child.extracted import Extracted
from chat.files.reading.child.outcome import Bounds, Outcome
from chat.files.reading.child.refusals import Refused

_LOCKED = (pdfium.raw.FPDF_ERR_PASSWORD, pdfium.raw.FPDF_ERR_SECURITY)


def read(data: bytes, bounds: Bounds) -> Outcome:
    try:
        return _read(pdfium.PdfDocument(data), bounds)
    except pdfium.PdfiumError as error:
        raise Refused("locked" if error.err_code in _LOCKED else "damaged") from None


def _read(document: pdfium.PdfDocument, bounds: Bounds) -> Outcome:
    pages = len(document)
    if pages > bounds.pages:
        raise Refused("too_long")
    if pages == 0:
        raise Refused("empty")
    extracted = Extracted(bounds.chars)
    without_text = _extract(document, extracted)
    if extracted.is_blank and not without_text:
        raise Refused("empty")
    extracted.write("text")
    names = ["text", write_thumb(_picture(document, 0, bounds.model_side), bounds)]
    for index in without_text[: bounds.rendered_pages]:
        picture = _picture(document, index, bounds.model_side)
        names.append(write_page(f"page-{index + 1}", picture, bounds))
    return Outcome(
        "document",
        magic.PDF,
        pages=pages,
        chars=extracted.chars,
        is_cut=extracted.is_cut,
        names=names,
    )


def _extract(document: pdfium.PdfDocument, extracted: Extracted) -> list[int]:
    """The pages that show something, but have no text."""
    without_text = []
    has_form = document.get_formtype() != pdfium.raw.FORMTYPE_NONE
    if has_form:
        document.init_forms()
    for index in range(len(document)):
        if extracted.is_cut:
            break
        if has_form:
            _fill_in(document, index)
        page = document[index]
        text = page.get_textpage().get_text_bounded()
        extracted.add(index + 1, text)
        if not text.strip() and pdfium.raw.FPDFPage_CountObjects(page) > 0:
            without_text.append(index)
        page.close()  # Closes its text too. Pages would add up in memory.
    return without_text


def _fill_in(document: pdfium.PdfDocument, index: int) -> None:
    """Make what stands in the fields of a form a part of the page."""
    page = document[index]
    page.flatten()
    page.close()


def _picture(document: pdfium.PdfDocument, index: int, side: int) -> Image.Image:
    """The page with this length of its longer side, at most four times its usual size."""
    page = document[index]
    scale = min(side / max(*page.get_size(), 1), 4)
    picture: Image.Image = page.render(scale=scale, rev_byteorder=True).to_pil().convert("RGB")
    page.close()
    return picture
