#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints ops/text/unicode_case.inc from the Unicode tables of this Python."""
import unicodedata

POINTS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def runs(change):
    pairs = [(c, ord(change(chr(c))) - c) for c in POINTS if len(change(chr(c))) == 1 and change(chr(c)) != chr(c)]
    start = 0
    while start < len(pairs):
        ends = []
        for step in (1, 2):
            end = start
            while end + 1 < len(pairs) and pairs[end + 1] == (pairs[end][0] + step, pairs[start][1]):
                end += 1
            ends.append((end, step))
        end, step = max(ends, key=lambda e: (e[0], -e[1]))
        yield pairs[start][0], pairs[end][0], step, pairs[start][1]
        start = end + 1


def rows(entries):
    line = "   "
    for entry in entries:
        if len(line) + len(entry) + 1 > 118:
            print(line)
            line = "   "
        line += " " + entry
    print(line)


def main():
    print("/* SPDX-License-Identifier: Apache-2.0\n"
          f" * Case mappings of Unicode {unicodedata.unidata_version}; printed by tools/unicode_case.py. */")
    for name, change in (("lower", str.lower), ("upper", str.upper)):
        print(f"static const case_run {name}_runs[] = {{")
        rows(f"{{0x{first:x}, 0x{last:x}, {step}, {delta}}}," for first, last, step, delta in runs(change))
        print("};")
        print(f"static const case_long {name}_long[] = {{")
        rows("{0x%x, {%s}}," % (c, ", ".join(f"0x{ord(x):x}" for x in change(chr(c))))
             for c in POINTS if len(change(chr(c))) > 1)
        print("};")


if __name__ == "__main__":
    main()
