"""Writes small office documents."""

import io
import struct
import zipfile

OFFICE = "application/vnd.openxmlformats-officedocument."
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
BOMB = (
    '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + "]>"
)


def archive(members, compression=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return out.getvalue()


def types(**parts):
    """`[Content_Types].xml`: the parts by the ends of their types, which begin alike."""
    overrides = "".join(
        f'<Override PartName="/{part}" ContentType="{OFFICE}{content_type}+xml"/>'
        for part, content_type in parts.items()
    )
    space = "http://schemas.openxmlformats.org/package/2006/content-types"
    return f'<Types xmlns="{space}">{overrides}</Types>'


def relations(**targets):
    """Each id with the kind and the target of a relation."""
    rows = "".join(
        f'<Relationship Id="{key}" Type="{RELATIONS}/{kind}" Target="{target}"/>'
        for key, (kind, target) in targets.items()
    )
    space = "http://schemas.openxmlformats.org/package/2006/relationships"
    return f'<Relationships xmlns="{space}">{rows}</Relationships>'


def docx(body, before="", **members):
    """`members` are further parts, each with the name of its kind: footnotes, header, …"""
    names = {f"word/{kind}1.xml": xml for kind, xml in members.items()}
    kinds = {f"word/{kind}1.xml": f"wordprocessingml.{kind}" for kind in members}
    return archive(
        {
            "[Content_Types].xml": types(
                **{"word/document.xml": "wordprocessingml.document.main"}, **kinds
            ),
            "word/document.xml": f"{before}<w:document {WORD}><w:body>{body}</w:body></w:document>",
            **names,
        }
    )


def paragraph(text):
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def pptx(*slides, notes=None):
    """Slides by their XML, in the order in which they are shown: stored the other way round."""
    count = len(slides)
    draw = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
    show = 'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
    ids = "".join(f'<p:sldId id="{256 + n}" r:id="rId{n}"/>' for n in range(count))
    files = {f"rId{n}": f"slides/slide{count - n}.xml" for n in range(count)}
    members = {
        "[Content_Types].xml": types(
            **{"ppt/presentation.xml": "presentationml.presentation.main"}
        ),
        "ppt/presentation.xml": f'<p:presentation {show} xmlns:r="{RELATIONS}"><p:sldIdLst>{ids}'
        "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            **{key: ("slide", target) for key, target in files.items()}
        ),
    }
    for n, slide in enumerate(slides):
        members[f"ppt/{files[f'rId{n}']}"] = f"<p:sld {show} {draw}>{slide}</p:sld>"
    if notes:
        members["ppt/notesSlides/notes1.xml"] = f"<p:notes {show} {draw}>{notes}</p:notes>"
        members[f"ppt/slides/_rels/slide{count}.xml.rels"] = relations(
            rId1=("notesSlide", "../notesSlides/notes1.xml")
        )
    return archive(members)


def says(text):
    return f"<a:p><a:r><a:t>{text}</a:t></a:r></a:p>"


def xlsx(sheets, before="", **members):
    """`sheets`: names with the XML of their rows."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    entries = "".join(
        f'<sheet name="{name}" sheetId="{n}" r:id="rId{n}"/>' for n, name in enumerate(sheets, 1)
    )
    parts = {f"xl/worksheets/sheet{n}.xml": rows for n, rows in enumerate(sheets.values(), 1)}
    return archive(
        {
            "[Content_Types].xml": types(**{"xl/workbook.xml": "spreadsheetml.sheet.main"}),
            "_rels/.rels": relations(rId1=("officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": f'{before}<workbook xmlns="{main}" xmlns:r="{RELATIONS}"><sheets>'
            f"{entries}</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": relations(
                **{
                    f"rId{n}": ("worksheet", f"worksheets/sheet{n}.xml")
                    for n in range(1, len(sheets) + 1)
                },
                rIdStyles=("styles", "styles.xml"),
            ),
            # The second style is a date.
            "xl/styles.xml": f'<styleSheet xmlns="{main}"><cellXfs><xf numFmtId="0"/>'
            '<xf numFmtId="14"/></cellXfs></styleSheet>',
            **{
                part: f'<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>'
                for part, rows in parts.items()
            },
            **members,
        }
    )


def cells(row, *values):
    """A row of numbers and texts; ("d", number) is a date."""
    out = ""
    for column, value in zip("ABCDEFGH", values, strict=False):
        if isinstance(value, str):
            out += f'<c r="{column}{row}" t="inlineStr"><is><t>{value}</t></is></c>'
        elif isinstance(value, tuple):
            out += f'<c r="{column}{row}" s="1"><v>{value[1]}</v></c>'
        elif value is not None:
            out += f'<c r="{column}{row}"><v>{value}</v></c>'
    return f'<row r="{row}">{out}</row>'


def ods(sheets, manifest="<manifest/>"):
    """`sheets`: names with lists of rows of texts."""
    office = "urn:oasis:names:tc:opendocument:xmlns:office:1.0"
    table = "urn:oasis:names:tc:opendocument:xmlns:table:1.0"
    text = "urn:oasis:names:tc:opendocument:xmlns:text:1.0"
    tables = ""
    for name, rows in sheets.items():
        lines = ""
        for row in rows:
            boxes = "".join(
                '<table:table-cell office:value-type="string">'
                f"<text:p>{value}</text:p></table:table-cell>"
                for value in row
            )
            lines += f"<table:table-row>{boxes}</table:table-row>"
        tables += f'<table:table table:name="{name}">{lines}</table:table>'
    return archive(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": manifest,
            "content.xml": f'<office:document-content xmlns:office="{office}"'
            f' xmlns:table="{table}" xmlns:text="{text}"><office:body><office:spreadsheet>{tables}'
            "</office:spreadsheet></office:body></office:document-content>",
        }
    )


def lying(data, name, size):
    """The archive whose headers say that this member has `size` bytes."""
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        real = struct.pack("<I", packed.getinfo(name).file_size)
    assert data.count(real) >= 2
    return data.replace(real, struct.pack("<I", size))
