"""Write a report of the table: report.html with a picture, temperatures.svg."""

import csv
from collections import defaultdict
from collections.abc import Iterator
from html import escape
from pathlib import Path

WIDTH, HEIGHT, MARGIN = 720, 320, 40
COLOURS = ["#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#0891b2"]

cities = defaultdict(list)
with open("weather.csv", encoding="utf-8", newline="") as file:
    for row in csv.DictReader(file):
        cities[row["city"]].append(row)

highs = {city: [float(row["high"]) for row in rows] for city, rows in cities.items()}
top = max(max(values) for values in highs.values()) + 2
bottom = min(min(values) for values in highs.values()) - 2


def point(day: int, days: int, value: float) -> str:
    """Where a day's value lies in the picture, as `x,y`."""
    x = MARGIN + day * (WIDTH - 2 * MARGIN) / max(1, days - 1)
    y = HEIGHT - MARGIN - (value - bottom) * (HEIGHT - 2 * MARGIN) / (top - bottom)
    return f"{x:.1f},{y:.1f}"


def grid() -> Iterator[str]:
    """Lines of equal temperature with their numbers."""
    step = (top - bottom) / 4
    for number in range(5):
        value = bottom + number * step
        x, y = point(0, 2, value).split(",")
        yield f'<line x1="{x}" y1="{y}" x2="{WIDTH - MARGIN}" y2="{y}" stroke="#d4d4d8"/>'
        yield f'<text x="{MARGIN - 8}" y="{float(y) + 4:.1f}" text-anchor="end" fill="#71717a">{value:.0f}°</text>'


def lines() -> Iterator[str]:
    """One line for each city, with its name."""
    for number, (city, values) in enumerate(highs.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = " ".join(point(day, len(values), value) for day, value in enumerate(values))
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield f'<text x="{MARGIN + number * 110}" y="20" fill="{colour}">● {escape(city)}</text>'


picture = "\n".join(
    [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        *grid(),
        *lines(),
        "</svg>",
    ]
)
Path("temperatures.svg").write_text(picture, encoding="utf-8")
print(f"Drew temperatures.svg with {len(highs)} lines.")

table = ["<tr><th>City</th><th>Mean high</th><th>Warmest day</th><th>Rain</th></tr>"]
for city, rows in cities.items():
    warmest = max(rows, key=lambda row: float(row["high"]))
    mean = sum(highs[city]) / len(rows)
    rain = sum(float(row["rain"]) for row in rows)
    table.append(f"<tr><td>{escape(city)}</td><td>{mean:.1f} °C</td><td>{escape(warmest['date'])}</td><td>{rain:.1f} mm</td></tr>")
    print(f"{city}: {mean:.1f} °C on average, {rain:.1f} mm of rain")

report = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>A week of weather</title>
<h1>A week of weather</h1>
{picture}
<table cellpadding="6">
{chr(10).join(table)}
</table>
</html>
"""
Path("report.html").write_text(report, encoding="utf-8")
print("Wrote report.html.")
