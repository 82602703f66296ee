# SPDX-License-Identifier: BSD-2-Clause
"""pasted-wal(5) says what wal/format/format.h says: every field's offset and size, every
struct's size, the places in the files, the magics, the reasons and flags; the numbers of the
classes are those of wal/format/class.h."""
import os
import re
import sys

SIZES = {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "uint64_t": 8, "char": 1}
top = os.environ.get("top_srcdir") or os.path.join(os.path.dirname(__file__), "..", "..")
header = open(os.path.join(top, "wal", "format", "format.h")).read()
page = open(os.path.join(top, "man", "pasted-wal.5")).read()
wrong = []


def expect(what, page_says, header_says):
    if page_says != header_says:
        wrong.append(f"{what}: the page says {page_says}, format.h {header_says}")


def structs():
    """name -> ([(field, offset, bytes)], size), laid out as the ABI does."""
    bare = re.sub(r"/\*.*?\*/", "", header, flags=re.S)
    for name, body in re.findall(r"^struct (\w+) \{(.*?)^\};", bare, re.S | re.M):
        fields, at, align = [], 0, 1
        for kind, names in re.findall(r"(\w+)\s+([^;]+);", body):
            unit = SIZES[kind]
            at, align = -(-at // unit) * unit, max(align, unit)
            for field in names.split(","):
                field, count = re.match(r"\s*(\w+)(?:\[(\d+)\])?", field).groups()
                size = unit * int(count or 1)
                fields.append((field, at, size))
                at += size
        yield name, (fields, -(-at // align) * align)


def page_tables():
    """First column's heading -> rows of cells."""
    for table in re.findall(r"^\.Bl -column.*?$\n(.*?)^\.El", page, re.S | re.M):
        rows = [[c.strip() for c in re.split(r"\bTa\b", row[4:])]
                for row in table.splitlines() if row.startswith(".It ")]
        yield rows[0][0].replace("Em ", ""), rows[1:]


tables = {}
for heading, rows in page_tables():
    tables.setdefault(heading, []).extend(rows)
known = dict(structs())
for name, (fields, size) in known.items():
    if name not in tables:
        wrong.append(f"struct {name} is not on the page")
        continue
    rows = tables[name]
    said = [(r[0], int(r[1]), int(r[2])) for r in rows if r[0] != "Em size"]
    expect(f"struct {name}", said, fields)
    expect(f"size of {name}", [int(r[1] or r[2]) for r in rows if r[0] == "Em size"], [size])
    asserted = re.search(rf"static_assert\(sizeof\(struct {name}\) == (\d+)", header)
    expect(f"asserted size of {name}", size, int(asserted.group(1)) if asserted else None)

defines = dict(re.findall(r"^#define (\w+)\s+(\S+)", header, re.M))
rings = int(re.search(r"WAL_RINGS == (\d+)", header).group(1))
places = {"WAL_RINGS": rings, "WAL_HEADS_B": int(defines["WAL_HEADS_A"][:-1]) + 256 * 64}
for row in tables["part"]:
    name = row[0]
    if name.startswith(("WAL_", "SEG_")):
        at = places.get(name)
        expect(name, int(row[1]), at if at is not None else int(defines[name].rstrip("u")))

for name, text in re.findall(r"Dv (\w+_MAGIC) , No the bytes Li (\S+)", page):
    value = int(re.match(r"0x[0-9a-f]+", defines[name]).group(0), 16)
    expect(name, text, value.to_bytes(len(text), "little").decode())
expect("number of magics on the page", len(set(re.findall(r"Dv (\w+_MAGIC) ,", page))),
       len([d for d in defines if d.endswith("_MAGIC")]))

flags = re.findall(r"(STOREFILE_(?:WAL_ATTACHED|OPEN|LANES)) = (\d+)", header)
expect("number of flags in format.h", len(flags), 3)
for name, value in flags:
    expect(name, re.search(rf"It Dv {name}\n\.Pq (\d+)", page).group(1), value)
reasons = re.search(r"reason Ta \d+ Ta \d+ Ta (.*)", page).group(1)
expect("gap reasons", reasons, "1 torn, 2 damage, 3 wal lost, 4 missing, 5 skipped")
expect("gap reasons in format.h",
       re.findall(r"(GAP_\w+) = (\d)", header),
       [("GAP_TORN", "1"), ("GAP_DAMAGE", "2"), ("GAP_WAL_LOST", "3"), ("GAP_MISSING", "4"), ("GAP_SKIPPED", "5")])
with open(os.path.join(top, "wal", "format", "class.h")) as f:
    rows = re.findall(r'X\(CLASS_\w+, (\d+), "([\w-]+)", \w+, (\w+),', f.read())
stored = [f"{number} {name}" for number, name, needs in sorted(rows) if needs != "NOTHING"]
expect("classes", re.search(r"class of the last start: (.*)", page).group(1), ", ".join(stored))
expect("number of classes in class.h", len(stored) >= 4, True)
kinds = re.search(r"kind Ta \d+ Ta \d+ Ta (.*)", page).group(1)
expect("frame kinds", kinds, "1 record, 2 gap")
expect("frame kinds in format.h", re.findall(r"FRAME_(RECORD|GAP) = (\d)", header),
       [("RECORD", "1"), ("GAP", "2")])

if wrong:
    print("\n".join(wrong))
    sys.exit(1)
print(f"{len(known)} structs, {sum(len(f) for f, _ in known.values())} fields agree")
