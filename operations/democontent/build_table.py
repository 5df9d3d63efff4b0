"""Turn the fetched pages into one table, weather.csv."""

import csv
import json
from html.parser import HTMLParser
from pathlib import Path


class TableRows(HTMLParser):
    """Collects the cells of all table rows of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "tr":
            self.rows.append([])
        self.inside = tag in ("td", "th")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1].append(data.strip())


pages = json.loads(Path("pages.json").read_text(encoding="utf-8"))
count = 0
with open("weather.csv", "w", encoding="utf-8", newline="") as file:
    table = csv.writer(file)
    table.writerow(["city", "date", "low", "high", "rain"])
    for page in pages:
        parser = TableRows()
        parser.feed(Path(page["file"]).read_text(encoding="utf-8"))
        days = parser.rows[1:]
        if not days:
            raise SystemExit(f"{page['url']} has no table of days: has the site changed?")
        for day in days:
            table.writerow([page["city"], *day])
        count += len(days)
        print(f"{page['city']}: {len(days)} days")

print(f"Wrote weather.csv with {count} rows.")
