"""The pictures in the documentation, made by the program itself.

    .venv/bin/python -m tests.pictures        writes docs/pictures/*.png

It needs chromium, which draws the SVG that Textual gives; the documentation is held to the text of
the screen by tests, and to the picture by nobody.
"""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hoopcli.player.app import Player
from hoopcli.review_form.app import Form
from hoopcore.recording import Event, Finished, Notice, Said
from tests.cli.agent import review_item
from tests.cli.recorded import file_of
from tests.cli.test_player import shown

PLACE = Path(__file__).parents[1] / "docs" / "pictures"
_SIZE = (100, 26)
_STUCK = """select c.name, c.email, c.ssn
  from customers c
  join orders o on o.customer = c.id
 where c.ssn = ⟦ssn:3fa9c2d17b40⟧
   and o.status = 'stuck'
 order by c.name"""
_UPDATE = "update orders set status = 'new' where id in (4, 5)"
_BOTH = {"public.customers.email": {"email": 2}, "public.customers.ssn": {"ssn": 2}}


def _said(at: float, seq: int, text: str, *effects: str, **more: Any) -> Said:
    touches = ("public.orders:read",)
    values = {"touches": touches, "effects": effects or ("read",), "t": int(at * 1e6)}
    return Said(seq=seq, text=text, **{**values, **more})


def _done(at: float, seq: int, tag: str = "", **more: Any) -> Finished:
    took = more.pop("took", 900)
    return Finished(seq=seq, tag=tag, took=took, t=int(at * 1e6) + took, **more)


def story() -> list[Event]:
    """An engineer looks into two orders that are stuck."""
    refused = {"verdict": "refuse", "rule": "no-unbounded-delete"}
    held = {"verdict": "hold", "rule": "writes-are-seen", "hold": "req-nzkvqdgfxk"}
    passed = {"hold": "req-nzkvqdgfxk", "approved": ("p-ben",)}
    both = {"touches": ("public.customers:read", "public.orders:read")}
    masked = {"masked": {"email": 2, "ssn": 2}, "by_column": _BOTH, "bytes": 148}
    return [
        _said(0.4, 1, "select * from orders where id in (4, 5)"),
        _done(0.4, 1, rows=2, took=1_800),
        _said(9.0, 2, "select status, count(*) from orders group by 1"),
        _done(9.0, 2, rows=3, took=42_000),
        _said(31.5, 3, "delete from orders", "delete", reason="it needs a WHERE", **refused),
        _said(58.2, 4, _STUCK, **both),
        _done(58.2, 4, "SELECT 2", rows=2, columns=("name", "email", "ssn"), took=2_400, **masked),
        _said(80.0, 5, "begin", "transaction"),
        _done(80.0, 5, "BEGIN"),
        _said(84.1, 6, _UPDATE, "update", reason="somebody of the dba looks first", **held),
        _said(131.0, 6, _UPDATE, "update", **passed),
        _done(131.0, 6, "UPDATE 2", rows=2, took=3_100),
        _said(140.7, 7, "commit", "transaction"),
        _done(140.7, 7, "COMMIT"),
        _said(152.3, 8, "select nextval('orders_id_seq')", "call"),
        _done(152.3, 8, error="42501"),
        Notice(text="your grant ends in 5 minutes", t=160_000_000),
    ]


async def svg() -> str:
    """The screen of the player, with the cursor on what was masked."""
    async with shown(file_of(story()), size=_SIZE) as it:
        await it.press("m")
        player: Player = it.player
        return player.export_screenshot(title="hoop replay s-1c9fz4m2qk")


async def review() -> str:
    """The form of a review, at a grant that is wider than its use."""
    wide = {
        "granted": "*.*:*", "group": "far wider than needed", "seconds": 12, "idle": [],
        "used": ["public.customers:read", "public.orders:read", "public.orders:update"],
        "narrower": {"scope": "public.*:read public.orders:update", "passed": 214, "of": 214,
                     "exact": True, "outside": []},
        "statements": 219, "refused": 5, "suggestion": None, "open": [],
        "days": [round(abs(n % 7 - 3) * (1 + n / 30)) for n in range(90)],
    }  # fmt: skip
    items = [
        review_item(grant="grt-9w4tb2nx6c", tier="high", group="privileged", seconds=30),
        review_item(grant="grt-7h2vd9xk4p", **wide),
        review_item(grant="grt-5m2nq8zt4w", target="billing-db", group="no use seen for long"),
        *(review_item(grant=f"grt-0000000{n:03}", target="stage-db") for n in range(6)),
    ]
    form = Form(_Nobody(), items)
    async with form.run_test(size=(110, 28)) as pilot:
        await pilot.press("down")
        return form.export_screenshot(title="hoop review mine")


class _Nobody:
    def get(self, path: str, **params: object) -> Any:
        raise AssertionError(path)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        raise AssertionError(path)


def main() -> None:
    """Writes the pictures."""
    for name, drawn in (("player", svg), ("review", review)):
        # Its fonts would come from the network.
        text = re.sub(r"@font-face\s*\{.*?\}", "", asyncio.run(drawn()), flags=re.DOTALL)
        _draw(text, PLACE / f"{name}.png")


def _draw(text: str, place: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise SystemExit("there is no chromium to draw with; on Debian: apt-get install chromium")
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert found is not None
    width, height = (int(float(number)) + 1 for number in found.groups())
    place.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "player.html"
        style = "<style>body{margin:0;background:#fff}svg{display:block}</style>"
        page.write_text(f"<!doctype html><meta charset=utf-8>{style}{text}", encoding="utf-8")
        subprocess.run(
            [
                chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--user-data-dir={folder}/profile", f"--window-size={width},{height}",
                f"--screenshot={place}", page.as_uri(),
            ],
            check=True, timeout=120, capture_output=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
