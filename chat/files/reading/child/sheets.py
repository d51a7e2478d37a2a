"""Reads workbooks: each sheet as lines of cells with tabs between them."""

import datetime
from typing import IO, Any

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum

from chat.files.reading.child.extracted import Extracted
from chat.files.reading.child.refusals import Refused


def extract(source: IO[bytes], extracted: Extracted, most_sheets: int) -> int:
    """The number of sheets."""
    try:
        return _extract(source, extracted, most_sheets)
    except PasswordError:
        raise Refused("locked") from None
    except CalamineError:
        raise Refused("damaged") from None


def _extract(source: IO[bytes], extracted: Extracted, most_sheets: int) -> int:
    workbook = CalamineWorkbook.from_filelike(source)
    names = [s.name for s in workbook.sheets_metadata if s.typ == SheetTypeEnum.WorkSheet]
    if len(names) > most_sheets:
        raise Refused("too_long")
    for name in names:
        if extracted.is_cut:
            break
        extracted.add(name[:100], _lines(workbook.get_sheet_by_name(name), extracted.left))
    return len(names)


def _lines(sheet: Any, most_chars: int) -> str:
    lines: list[str] = []
    left = most_chars
    for row in sheet.iter_rows():
        line = "\t".join(_cell(value) for value in row).rstrip("\t")
        if line:
            lines.append(line)
            left -= len(line) + 1
        if left < 0:
            break
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    return " ".join(str(value).split())
