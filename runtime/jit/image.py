"""Object files laid out ready to run: one block of bytes that works at any address.

LLVM's object files for x86-64 refer to their own parts relative to the program counter. Linking them once, when they are
compiled, leaves a block that is copied, given the addresses of the C functions that it calls, and run: no linker, and not
even LLVM, is needed where compiled code is taken from the disk. Other object formats are left to LLVM (`link` says None).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import NamedTuple

PAGE = 4096
_ELF_X86_64 = b"\x7fELF\x02\x01\x01"
_RELOCATABLE, _MACHINE_X86_64 = 1, 62
_ALLOCATED, _WRITABLE = 0x2, 0x1
_NO_BITS, _RELOCATIONS, _SYMBOLS = 8, 4, 2
_ABSOLUTE_64, _RELATIVE_64 = 1, 24
_RELATIVE_32 = {2, 4}  # to the symbol itself, or to a jump to it
_TABLE_RELATIVE_32 = {9, 41, 42}  # to the cell that holds the symbol's address
_FUNCTION, _LOCAL = 2, 0
_UNDEFINED_SECTION, _FIRST_RESERVED_SECTION = 0, 0xFF00


class Image(NamedTuple):
    """`code` holds the bytes; those from `writable_from` on (a multiple of a page, or the end) are written at run time.

    `exports` gives the offset of each function; `imports` the cells to fill with the address of a foreign symbol;
    `addresses` the cells to fill with the final address of a place in the image.
    """

    code: bytes
    writable_from: int
    exports: dict[str, int]
    imports: list[tuple[int, str]]
    addresses: list[tuple[int, int]]

    def to_bytes(self) -> bytes:
        facts = [self.writable_from, self.exports, self.imports, self.addresses]
        head = json.dumps(facts, separators=(",", ":")).encode()
        return struct.pack("<Q", len(head)) + head + self.code

    @staticmethod
    def from_bytes(data: bytes) -> Image:
        (length,) = struct.unpack_from("<Q", data)
        writable_from, exports, imports, addresses = json.loads(data[8 : 8 + length])
        return Image(data[8 + length :], writable_from, exports, imports, addresses)


class _Section(NamedTuple):
    name: str
    kind: int
    flags: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int


class _Symbol(NamedTuple):
    name: str
    binding: int
    kind: int
    section: int
    value: int


def link(data: bytes) -> Image | None:
    """The image of an x86-64 ELF object file; None where it is of another kind or needs more than is handled here."""
    if data[:7] != _ELF_X86_64 or struct.unpack_from("<HH", data, 16) != (_RELOCATABLE, _MACHINE_X86_64):
        return None
    return _Linker(data).image()


class _Linker:
    def __init__(self, data: bytes):
        self.data = data
        self.sections = list(_read_sections(data))
        self.symbols = list(_read_symbols(data, self.sections))
        self.place: dict[int, int] = {}
        self.code = bytearray()
        self.imports: list[tuple[int, str]] = []
        self.addresses: list[tuple[int, int]] = []
        self.cells: dict[tuple[str, int], int] = {}
        self.jumps: dict[str, int] = {}

    def image(self) -> Image | None:
        relocations = list(self._relocations())
        self._place_sections(writable=False)
        # Cells and jumps stand between the constant and the writable part, so their number is needed before.
        for _, kind, symbol, addend in relocations:
            if not self._prepare(kind, symbol, addend):
                return None
        end = len(self.code)
        if any(_is_loaded(s) and s.flags & _WRITABLE for s in self.sections):
            self._align(PAGE)
            end = len(self.code)
            self._place_sections(writable=True)
        for (section, offset), kind, symbol, addend in relocations:
            self._apply(self.place[section] + offset, kind, symbol, addend)
        for (name, target), cell in self.cells.items():
            if not name:
                self.addresses.append((cell, self._offset(self.symbols[target])))
        exports = {s.name: self._offset(s) for s in self.symbols if s.kind == _FUNCTION and s.binding != _LOCAL}
        return Image(bytes(self.code), end, exports, self.imports, self.addresses)

    def _place_sections(self, writable: bool) -> None:
        for number, section in enumerate(self.sections):
            if not _is_loaded(section) or bool(section.flags & _WRITABLE) != writable:
                continue
            self._align(section.alignment)
            self.place[number] = len(self.code)
            empty = section.kind == _NO_BITS
            self.code += bytes(section.size) if empty else self.data[section.offset : section.offset + section.size]

    def _relocations(self) -> Iterator[tuple[tuple[int, int], int, int, int]]:
        for section in self.sections:
            if section.kind != _RELOCATIONS or not _is_loaded(self.sections[section.info]):
                continue
            for at in range(section.offset, section.offset + section.size, 24):
                offset, info, addend = struct.unpack_from("<QQq", self.data, at)
                yield (section.info, offset), info & 0xFFFFFFFF, info >> 32, addend

    def _prepare(self, kind: int, number: int, addend: int) -> bool:
        """Makes the cell or jump that a relocation needs; False where its kind is not handled."""
        symbol = self.symbols[number]
        foreign = symbol.section == _UNDEFINED_SECTION
        if symbol.section >= _FIRST_RESERVED_SECTION:
            return False
        if not foreign and not _is_loaded(self.sections[symbol.section]):
            return False
        if kind in _TABLE_RELATIVE_32:
            self._cell(number)
            return True
        if kind in _RELATIVE_32:
            if foreign:
                self._jump(number)
            return True
        return kind == _ABSOLUTE_64 and (addend == 0 or not foreign) or kind == _RELATIVE_64 and not foreign

    def _cell(self, number: int) -> int:
        """The offset of the eight bytes that will hold the address of a symbol."""
        symbol = self.symbols[number]
        foreign = symbol.section == _UNDEFINED_SECTION
        key = (symbol.name, 0) if foreign else ("", number)
        if key not in self.cells:
            self._align(8)
            self.cells[key] = len(self.code)
            self.code += bytes(8)
            if foreign:
                self.imports.append((self.cells[key], symbol.name))
        return self.cells[key]

    def _jump(self, number: int) -> int:
        """The offset of an instruction that jumps to a foreign function through its cell."""
        name = self.symbols[number].name
        if name not in self.jumps:
            cell = self._cell(number)
            self._align(8)
            self.jumps[name] = len(self.code)
            self.code += b"\xff\x25" + struct.pack("<i", cell - (len(self.code) + 6))
        return self.jumps[name]

    def _apply(self, at: int, kind: int, number: int, addend: int) -> None:
        symbol = self.symbols[number]
        foreign = symbol.section == _UNDEFINED_SECTION
        if kind == _ABSOLUTE_64:
            if foreign:
                self.imports.append((at, symbol.name))
            else:
                self.addresses.append((at, self._offset(symbol) + addend))
            return
        if kind == _RELATIVE_64:
            struct.pack_into("<q", self.code, at, self._offset(symbol) + addend - at)
            return
        if kind in _TABLE_RELATIVE_32:
            target = self._cell(number)
        else:
            target = self._jump(number) if foreign else self._offset(symbol)
        struct.pack_into("<i", self.code, at, target + addend - at)

    def _offset(self, symbol: _Symbol) -> int:
        return self.place[symbol.section] + symbol.value

    def _align(self, alignment: int) -> None:
        self.code += bytes(-len(self.code) % max(1, alignment))


def _is_loaded(section: _Section) -> bool:
    """Unwinding tables are left out: no exception ever passes through generated code."""
    return bool(section.flags & _ALLOCATED) and section.size > 0 and section.name != ".eh_frame"


def _read_sections(data: bytes) -> Iterator[_Section]:
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    rows = [struct.unpack_from("<IIQQQQIIQQ", data, table + size * i) for i in range(count)]
    names_at = rows[names][4]
    for name, kind, flags, _, offset, length, link_to, info, alignment, _ in rows:
        yield _Section(_text_at(data, names_at + name), kind, flags, offset, length, link_to, info, alignment)


def _read_symbols(data: bytes, sections: list[_Section]) -> Iterator[_Symbol]:
    for table in (s for s in sections if s.kind == _SYMBOLS):
        names_at = sections[table.link].offset
        for at in range(table.offset, table.offset + table.size, 24):
            name, info, _, section, value, _ = struct.unpack_from("<IBBHQQ", data, at)
            yield _Symbol(_text_at(data, names_at + name), info >> 4, info & 15, section, value)


def _text_at(data: bytes, start: int) -> str:
    return data[start : data.index(b"\0", start)].decode()
