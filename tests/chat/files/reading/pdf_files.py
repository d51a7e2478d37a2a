"""Writes small PDF files."""

import hashlib
from collections.abc import Sequence

PICTURE = "0.2 0.4 0.8 rg 100 300 300 300 re f"  # a rectangle, as a scan would be an image
_PADDING = bytes.fromhex("28BF4E5E4E758A4164004E56FFFA01082E2E00B6D0683E802F0CA9FE6453697A")
_ID = b"0123456789abcdef"


def pdf(
    pages: Sequence[str],
    trailer: str = "",
    objects: Sequence[str] = (),
    catalog: str = "",
    of_page: str = "",
) -> bytes:
    """Each page is the operators that draw it; all share one object for equal ones."""
    drawn = sorted(set(pages))
    first = 4
    streams = {page: first + at for at, page in enumerate(drawn)}
    page_ids = range(first + len(drawn), first + len(drawn) + len(pages))
    kids = " ".join(f"{number} 0 R" for number in page_ids)
    bodies = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        *(f"<< /Length {len(page)} >>\nstream\n{page}\nendstream" for page in drawn),
        *(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842]"
            f" /Resources << /Font << /F1 3 0 R >> >> /Contents {streams[page]} 0 R {of_page} >>"
            for page in pages
        ),
        *objects,
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(bodies, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("latin-1")
    start = len(out)
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(bodies) + 1
    out += f"xref\n0 {size}\n0000000000 65535 f \n{table}".encode()
    out += f"trailer << /Size {size} /Root 1 0 R {trailer} >>\n".encode("latin-1")
    return out + f"startxref\n{start}\n%%EOF".encode()


def shows(*lines: str) -> str:
    text = "".join(f"({line}) Tj 0 -14 Td " for line in lines)
    return f"BT /F1 11 Tf 50 780 Td {text}ET"


def form(value: str) -> bytes:
    """A page that says "Name:", with a field that is filled in."""
    drawn = f"/Tx BMC BT /F1 11 Tf 2 5 Td ({value}) Tj ET EMC"
    field = (
        f"<< /Type /Annot /Subtype /Widget /FT /Tx /T (name) /V ({value}) /F 4"
        " /Rect [100 700 300 720] /DA (/F1 11 Tf 0 g) /AP << /N 7 0 R >> >>"
    )
    looks = (
        "<< /Type /XObject /Subtype /Form /BBox [0 0 200 20]"
        f" /Resources << /Font << /F1 3 0 R >> >> /Length {len(drawn)} >>\n"
        f"stream\n{drawn}\nendstream"
    )
    catalog = "/AcroForm << /Fields [6 0 R] /DR << /Font << /F1 3 0 R >> >> >>"
    page = shows("Name:")
    return pdf([page], objects=(field, looks), catalog=catalog, of_page="/Annots [6 0 R]")


def encrypted(password: bytes = b"secret") -> bytes:
    """Opens with its password only (RC4, 40 bits)."""
    padded = (password + _PADDING)[:32]
    owner = _rc4(hashlib.md5(padded).digest()[:5], padded)
    rights = (-4).to_bytes(4, "little", signed=True)
    key = hashlib.md5(padded + owner + rights + _ID).digest()[:5]
    user = _rc4(key, _PADDING)
    entry = (
        f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{owner.hex()}> /U <{user.hex()}> >>"
        f" /ID [<{_ID.hex()}> <{_ID.hex()}>]"
    )
    page_key = hashlib.md5(key + (4).to_bytes(3, "little") + bytes(2)).digest()[:10]
    page = _rc4(page_key, shows("Hidden").encode()).decode("latin-1")
    return pdf([page], entry)


def _rc4(key: bytes, data: bytes) -> bytes:
    box, at = list(range(256)), 0
    for n in range(256):
        at = (at + box[n] + key[n % len(key)]) % 256
        box[n], box[at] = box[at], box[n]
    out, here, there = bytearray(), 0, 0
    for byte in data:
        here = (here + 1) % 256
        there = (there + box[here]) % 256
        box[here], box[there] = box[there], box[here]
        out.append(byte ^ box[(box[here] + box[there]) % 256])
    return bytes(out)
