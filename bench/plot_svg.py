"""Bar charts as SVG, without a library: text that scales, readable on white and on dark pages."""
from html import escape

LEFT, RIGHT, ROW, TOP, WIDTH = 210, 70, 24, 44, 760


def bars(path, title, unit, rows):
    """rows: [(label, value)], values not negative. Writes the file."""
    top = max(v for _, v in rows) or 1
    height = TOP + ROW * len(rows) + 16
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
           f'font-family="system-ui, sans-serif" font-size="13">', f"<title>{escape(title)}</title>",
           f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
           f'<text x="16" y="26" font-size="15" font-weight="600" fill="#1b2733">{escape(title)}</text>']
    for i, (label, value) in enumerate(rows):
        y = TOP + ROW * i
        length = (WIDTH - LEFT - RIGHT) * value / top
        text = f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
        text += f" {unit}" if unit else ""
        out += [f'<text x="{LEFT - 10}" y="{y + 16}" text-anchor="end" fill="#1b2733">{escape(label)}</text>',
                f'<rect x="{LEFT}" y="{y + 4}" width="{length:.1f}" height="{ROW - 8}" rx="2" fill="#1f7a8c"/>',
                f'<text x="{LEFT + length + 6:.1f}" y="{y + 16}" fill="#1b2733">{text}</text>']
    with open(path, "w") as file:
        file.write("\n".join(out) + "\n</svg>\n")
