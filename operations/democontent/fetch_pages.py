"""Fetch each page that the input CSV names and keep it, with a list of what was fetched."""

import csv
import json
import os
import time
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import ProxyHandler, build_opener

parameters = json.loads(os.environ.get("PYSCHED_PARAMETERS") or "{}")
# The demo site is part of the platform: its address comes with the run, unless a parameter names another.
base = parameters.get("base_url") or os.environ.get("PYSCHED_URL") or "http://127.0.0.1:8000"
pause = float(parameters.get("pause_seconds", 0.4))
opener = build_opener(ProxyHandler({}))

with open(os.environ["PYSCHED_INPUT"], encoding="utf-8", newline="") as file:
    wanted = list(csv.DictReader(file))

Path("pages").mkdir(exist_ok=True)
fetched = []
for number, row in enumerate(wanted, start=1):
    url = urljoin(base, row["path"])
    print(f"[{number}/{len(wanted)}] {row['city']}: {url}")
    with opener.open(url, timeout=20) as answer:
        content = answer.read()
    target = Path("pages", Path(row["path"]).name)
    target.write_bytes(content)
    fetched.append({"city": row["city"], "url": url, "file": str(target), "bytes": len(content)})
    time.sleep(pause)  # A polite guest does not hurry its host.

Path("pages.json").write_text(json.dumps(fetched, indent=2, ensure_ascii=False), encoding="utf-8")
print(f"Fetched {len(fetched)} pages, {sum(page['bytes'] for page in fetched):,} bytes.")
