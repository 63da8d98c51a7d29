"""A page as Chromium shows it, without complaints; what is `needed` is skipped without Chromium."""

import re
import shutil
import subprocess

import pytest

NAMES = ("chromium", "chromium-browser", "chrome", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # In virtual time all that a click sets off has happened before the document is told.
    *("--dump-dom", "--virtual-time-budget=2000", "--enable-logging=stderr"),
)

needed = pytest.mark.skipif(BROWSER is None, reason="needs chromium")


def opened(page, folder, *, place="", script=""):
    """The document that becomes of a page at that place in it, after a script has run as well."""
    address = folder / "opened.html"
    address.write_text(f"{page}<script>{script}</script>", encoding="utf-8")
    shown = subprocess.run(
        [
            str(BROWSER),
            *OPTIONS,
            f"--user-data-dir={folder / 'profile'}",
            f"{address.as_uri()}#{place}",
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=True,
    )
    complaints = re.findall(".*CONSOLE.*", shown.stderr)
    assert complaints == []
    return shown.stdout
