"""Documents: their text by page, and pictures of pages without text."""

import io

import pytest
from PIL import Image

from tests.chat.files.reading.office_files import (
    BOMB,
    archive,
    cells,
    docx,
    lying,
    ods,
    paragraph,
    pptx,
    says,
    types,
    xlsx,
)
from tests.chat.files.reading.pdf_files import PICTURE, encrypted, form, pdf, shows

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SLIDES = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)


# PDF


def test_a_pdf_is_read_page_by_page(read, texts):
    found = read(pdf([shows("First page", "Second line"), shows("Another one")]))
    assert (found.kind, found.type, found.pages) == ("document", "application/pdf", 2)
    assert texts(found) == [(1, "First page\nSecond line"), (2, "Another one")]
    assert found.chars == len("First page\nSecond line") + len("Another one")
    assert set(found.renditions) == {"text"}
    thumb = Image.open(io.BytesIO(found.thumb))
    assert thumb.format == "WEBP" and max(thumb.size) == 256 and len(found.thumb) <= 8_000
    assert (found.width, found.height, found.is_cut) == (None, None, False)


def test_pages_without_text_become_pictures(read, texts):
    found = read(pdf([PICTURE, shows("Words"), "", PICTURE]))
    assert texts(found) == [(1, ""), (2, "Words"), (3, ""), (4, "")]
    assert set(found.renditions) == {"text", "page-1", "page-4"}
    picture = Image.open(io.BytesIO(found.renditions["page-4"].read_bytes()))
    assert picture.format == "JPEG" and max(picture.size) in (1_568, 1_569)
    red, _, blue = picture.getpixel((picture.width // 3, picture.height // 2))
    assert blue > 150 > red


def test_only_some_pages_become_pictures(read_here):
    found = read_here(pdf([PICTURE] * 5), rendered_pages=3, model_side=100)
    assert set(found.renditions) == {"text", "page-1", "page-2", "page-3"}
    assert found.pages == 5 and found.chars == 0


def test_a_pdf_that_shows_nothing_is_empty(read_here, refused):
    assert refused(read_here, pdf(["", ""])) == "empty"


def test_the_number_of_pages_is_bounded(read, read_here, refused):
    assert refused(read, pdf([shows("x")] * 501)) == "too_long"
    assert read_here(pdf([shows("x")] * 500)).pages == 500


def test_a_pdf_of_a_hundred_pages(read, texts):
    found = read(pdf([shows(f"This is page {n}") for n in range(1, 101)]))
    assert texts(found)[99] == (100, "This is page 100") and found.pages == 100


def test_a_pdf_with_a_password_is_locked(read_here, refused, texts):
    assert refused(read_here, encrypted()) == "locked"
    assert texts(read_here(encrypted(b""))) == [(1, "Hidden")]  # It opens without one.


def test_a_form_is_read_as_it_was_filled_in(read_here, texts):
    [(_, text)] = texts(read_here(form("Ada Lovelace")))
    assert text.split() == ["Name:", "Ada", "Lovelace"]


def test_the_text_of_a_pdf_is_cut(read_here, texts):
    found = read_here(pdf([shows("a" * 60), shows("b" * 60), shows("c" * 60)]), chars=100)
    assert (found.chars, found.is_cut, found.pages) == (100, True, 3)
    assert texts(found) == [(1, "a" * 60), (2, "b" * 40)]


@pytest.mark.parametrize("data", [b"%PDF-1.7\n", b"%PDF-1.4\n" + b"\xff" * 300 + b"%%EOF"])
def test_a_damaged_pdf_is_said_to_be(read_here, refused, data):
    assert refused(read_here, data) == "damaged"


# Word


def test_a_word_document_with_tables_and_notes(read, texts):
    table = (
        "<w:tbl><w:tr><w:tc>{}</w:tc><w:tc>{}{}</w:tc></w:tr>"
        "<w:tr><w:tc><w:p/></w:tc><w:tc>{}</w:tc></w:tr></w:tbl>"
    ).format(*(paragraph(text) for text in ("Name", "Price", "in euros", "12")))
    body = (
        paragraph("Dear reader")
        + '<w:p><w:pPr><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr><w:r><w:t>One</w:t><w:tab/>'
        "<w:t>two</w:t><w:br/><w:t>three &amp; four</w:t></w:r></w:p>"
        + table
        + "<w:p><w:del><w:r><w:delText>deleted</w:delText></w:r></w:del></w:p>"
    )
    note = f'<w:footnotes xmlns:w="w"><w:footnote>{paragraph("A note")}</w:footnote></w:footnotes>'
    header = f'<w:hdr xmlns:w="w">{paragraph("Letterhead")}</w:hdr>'
    found = read(docx(body, footnotes=note, header=header))
    assert (found.kind, found.type, found.pages, found.thumb) == ("document", WORD, None, None)
    lines = ["Dear reader", "One\ttwo", "three & four", "Name\tPrice in euros", "\t12"]
    [(page, text)] = texts(found)
    assert page is None
    assert text == "\n".join(lines) + "\n\nLetterhead\n\nA note"
    assert found.chars == len(text)


def test_what_stands_twice_for_older_programs_is_read_once(read_here, texts):
    twice = (
        '<mc:AlternateContent xmlns:mc="mc"><mc:Choice>{0}</mc:Choice>'
        "<mc:Fallback>{0}</mc:Fallback></mc:AlternateContent>"
    ).format(paragraph("In a box"))
    assert texts(read_here(docx(twice))) == [(None, "In a box")]


def test_the_text_of_a_document_is_cut(read_here, texts):
    found = read_here(docx(paragraph("abcdefgh") * 100), chars=20)
    assert found.is_cut and found.chars == 20
    assert texts(found) == [(None, "abcdefgh\nabcdefgh\nab")]
    assert not read_here(docx(paragraph("abcdefgh")), chars=8).is_cut


# Slides


def test_slides_are_read_in_the_order_in_which_they_are_shown(read, texts):
    table = "<a:tbl><a:tr><a:tc>{}</a:tc><a:tc>{}</a:tc></a:tr></a:tbl>"
    first = says("Title") + table.format(says("left"), says("right"))
    found = read(pptx(first, says("Second"), notes=says("Speak slowly")))
    assert (found.kind, found.type, found.pages) == ("document", SLIDES, 2)
    assert texts(found) == [(1, "Title\nleft\tright\n\nSpeak slowly"), (2, "Second")]


def test_the_number_of_slides_is_bounded(read_here, refused):
    assert refused(read_here, pptx(says("a"), says("b")), pages=1) == "too_long"


# Sheets


def test_sheets_have_their_names(read, texts):
    rows = cells(1, "Day", "Sum") + cells(2, ("d", 45_000), 3) + cells(4, None, 0.25)
    found = read(xlsx({"Prices &amp; days": rows, "Empty": "", "Notes": cells(1, "Thank you")}))
    assert (found.kind, found.type, found.pages) == ("document", SHEET, 3)
    assert texts(found) == [
        ("Prices & days", "Day\tSum\n2023-03-15\t3\n\t0.25"),
        ("Empty", ""),
        ("Notes", "Thank you"),
    ]


def test_sheets_of_an_open_document(read, texts):
    found = read(ods({"Größe": [["a", "b"], ["c", "d"]], "Zwei": [["e"]]}))
    assert (found.kind, found.type, found.pages) == ("document", ODS, 2)
    assert texts(found) == [("Größe", "a\tb\nc\td"), ("Zwei", "e")]


def test_the_text_of_sheets_is_cut(read_here, texts):
    rows = "".join(cells(n, "abcd") for n in range(1, 50))
    found = read_here(xlsx({"One": rows, "Two": rows}), chars=12)
    assert found.is_cut and texts(found) == [("One", "abcd\nabcd\nab")]


def test_the_number_of_sheets_is_bounded(read_here, refused):
    two = {"One": cells(1, "a"), "Two": cells(1, "b")}
    assert refused(read_here, xlsx(two), pages=1) == "too_long"


# Archives that mean no good

ENTRIES = archive({f"x{n}": "" for n in range(5_001)})
LARGE = docx(paragraph("a") + f"<!--{' ' * 400_000}-->")


def test_the_number_of_entries_is_bounded(read, read_here, refused):
    assert refused(read, ENTRIES) == "too_large"
    assert refused(read_here, ENTRIES, zip_entries=6_000) == "kind"


def test_what_comes_out_of_an_archive_is_bounded(read_here, refused):
    assert len(LARGE) < 2_000
    assert refused(read_here, LARGE, inflated_bytes=400_000) == "too_large"
    assert read_here(LARGE, inflated_bytes=410_000).chars == 1


def test_205_megabytes_in_200_kilobytes(read, refused):
    rows = {"[Content_Types].xml": types(), "x": b"\0" * 41_000_000}
    bomb = archive(rows | {f"x{n}": rows["x"] for n in range(4)})
    assert len(bomb) < 400_000
    assert refused(read, bomb) == "too_large"


def test_headers_that_lie_are_not_believed(read_here, refused):
    for size in (10, 10_000_000):
        assert refused(read_here, lying(LARGE, "word/document.xml", size)) == "damaged"
    # It is not inflated any further than the header says.
    lie = lying(LARGE, "word/document.xml", 10)
    assert refused(read_here, lie, inflated_bytes=100_000) == "damaged"


def test_two_members_of_one_name_are_damage(read_here, refused):
    body = paragraph("x")
    data = docx(body, **{"document": f"<w:document xmlns:w='w'>{body}</w:document>"})
    assert read_here(data).chars == 1
    same = data.replace(b"word/document1.xml", b"word/document.xml\0")  # A NUL ends the name.
    assert refused(read_here, same) == "damaged"


@pytest.mark.parametrize(
    "data",
    [
        docx(paragraph("&i;"), before=BOMB),
        docx(paragraph("x"), footnotes=f"{BOMB}<w:p xmlns:w='w'>&i;</w:p>"),
        docx(paragraph("x"), before="<!DOCTYPE x SYSTEM 'file:///etc/passwd'>"),
        xlsx({"One": cells(1, "x")}, before=BOMB),
        xlsx({"One": cells(1, "x")}, **{"xl/sharedStrings.xml": f"{BOMB}<sst>&i;</sst>"}),
        ods({"One": [["x"]]}, manifest=f"{BOMB}<manifest>&i;</manifest>"),
    ],
    ids=["docx", "footnotes", "external", "xlsx", "strings", "ods"],
)
def test_entities_cannot_be_declared(read_here, refused, data):
    assert refused(read_here, data) == "damaged"


def test_a_dtd_is_found_in_any_encoding(read_here, refused):
    bomb = BOMB.replace("?>", ' encoding="utf-16"?>', 1)
    strings = (bomb + "<sst>&i;</sst>").encode("utf-16")
    data = xlsx({"One": cells(1, "x")}, **{"xl/sharedStrings.xml": strings})
    assert refused(read_here, data) == "damaged"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (archive({"a.txt": "hello"}), "kind"),
        (archive({"mimetype": "application/epub+zip"}), "kind"),
        (archive({"word/document.xml": "<x/>"}), "kind"),
        (archive({}), "kind"),
        (b"PK\x03\x04" + bytes(200), "damaged"),
        (docx(paragraph("x"))[:-30], "damaged"),
        (docx(paragraph("x") + "</w:oops>"), "damaged"),
        (docx("<w:p/>"), "empty"),
        (pptx("", ""), "empty"),
        (xlsx({"One": ""}), "empty"),
        (ods({"One": [["x"]]}, manifest="<manifest><encryption-data/></manifest>"), "locked"),
        (OLE + "EncryptedPackage".encode("utf-16-le"), "locked"),
        (OLE + "WordDocument".encode("utf-16-le"), "kind"),
    ],
)
def test_other_archives_are_refused(read_here, refused, data, reason):
    assert refused(read_here, data) == reason


def test_an_encrypted_archive_is_locked(read_here, refused):
    data = bytearray(docx(paragraph("x")))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    assert refused(read_here, bytes(data)) == "locked"


def test_a_name_in_an_archive_writes_nothing(read_here, tmp_path):
    data = docx(paragraph("x"), **{"../../../../evil": "<x/>"})
    assert set(read_here(data).renditions) == {"text"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["renditions", "source"]


def test_a_cell_at_the_end_of_the_largest_sheet(read, refused):
    far = cells(1, "x") + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
    assert refused(read, xlsx({"One": far})) == "damaged"
