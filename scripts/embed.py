#!/usr/bin/env python3
"""Turns files into a C header: one byte array each, and a table {path, type, data, size}.

usage: embed.py FILE... > web_assets.h
"""
import sys

TYPES = {"html": "text/html; charset=utf-8", "css": "text/css; charset=utf-8",
         "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml", "png": "image/png"}

print("/* Made by scripts/embed.py from web/. */\n#include <stddef.h>\n")
rows = []
for i, path in enumerate(sorted(sys.argv[1:])):
    name = path.rsplit("/", 1)[-1]
    with open(path, "rb") as f:
        data = f.read()
    body = ",".join(str(b) for b in data)
    print(f"static const unsigned char asset_{i}[] = {{{body}}};")
    kind = TYPES.get(name.rsplit(".", 1)[-1], "application/octet-stream")
    rows.append(f'    {{"/{"" if name == "index.html" else name}", "{kind}", asset_{i}, sizeof asset_{i}}},')
print("\nstatic const struct web_asset {\n    const char *path, *type;\n    const unsigned char *data;\n"
      "    size_t size;\n} web_assets[] = {")
print("\n".join(rows) if rows else '    {"", "", (const unsigned char *)"", 0},')
print("};")
