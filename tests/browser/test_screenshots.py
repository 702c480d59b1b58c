"""The pictures of the console in `docs/console/` and what is said of them are of the same pages."""

from __future__ import annotations

import re

from tests.browser.screenshots import FOLDER, LOOKS, OF_NOBODY, OF_OWNER, OF_STAFF

PICTURES = {f"{name}-{look.name}.png" for name in (*OF_NOBODY, *OF_OWNER, *OF_STAFF) for look in LOOKS}


def test_each_page_that_is_pictured_is_shown_and_said_what_it_is() -> None:
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (FOLDER / "README.md").read_text())
    assert len(shown) == len(set(shown))
    assert set(shown) == PICTURES


def test_each_picture_is_there_and_no_other() -> None:
    assert {picture.name for picture in FOLDER.glob("*.png")} == PICTURES
