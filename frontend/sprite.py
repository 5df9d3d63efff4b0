"""Builds static/icons/sprite.svg of the symbols named in icons.txt. Needs `npm ci` in this folder first."""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ATTRIBUTES = 'viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'


def symbol(name: str, source: str) -> str:
    """One `<symbol>` of a Lucide file: its drawing without the outer element."""
    drawing = re.search(r"<svg[^>]*>(.*)</svg>", source, re.DOTALL)
    if drawing is None:
        raise SystemExit(f"{name}: this is no SVG")
    return f'<symbol id="{name}" {ATTRIBUTES}>{re.sub(r"\s*\n\s*", "", drawing[1])}</symbol>'


def main(icons: Path) -> None:
    lines = [line.split() for line in (HERE / "icons.txt").read_text().splitlines() if line and not line.startswith("#")]
    symbols = [symbol(line[0], (icons / f"{line[-1]}.svg").read_text()) for line in lines]
    note = "<!-- Lucide (https://lucide.dev), ISC licence -->"
    target = HERE.parent / "static" / "icons" / "sprite.svg"
    target.write_text(f'<svg xmlns="http://www.w3.org/2000/svg">{note}\n' + "\n".join(symbols) + "\n</svg>\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "node_modules" / "lucide-static" / "icons")
