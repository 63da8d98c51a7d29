"""The report stands alone, shows everything it was given, and hides nothing behind an escape."""

import base64
import dataclasses
import io
import math
import re
from html.parser import HTMLParser

import browser
import numpy as np
import pytest
from PIL import Image

from ce_jax.inpainting.report import Line, Row, Trail, write_report
from ce_jax.metrics import Estimate

HOSTILE = "<script>alert('ü & \"quotes\"')</script>.png"


def png(seed, size=8):
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def row(name, *captions, **scores):
    pictures = {caption: png(len(caption)) for caption in captions}
    return Row(name, pictures, scores={f"hole/{name}": value for name, value in scores.items()})


def line(method, psnr, l1, n=3):
    around = {"hole/psnr": psnr, "hole/l1": l1}
    return Line(method, {k: Estimate(v, 0.9 * v, 1.1 * v, n) for k, v in around.items()})


FIGURES = [line("latent", 17.25, 0.0625), line("laplace", 16.5, 0.125), line("mean", 9.75, 0.03125)]
TRAIL = Trail(
    steps=[0, 3, 60],
    strips=[[png(20), png(21), png(22)], [png(23), png(24), png(25)]],
    context=[[9.0, 4.5, 1.25], [10.0, 8.0, 7.0], [11.0, 9.0, 8.0]],
    prior=[[-0.5, -0.25, -0.125], [0.5, 0.25, 0.0], [0.0, 0.0, 0.0]],
    plane=[[[0, 0], [1, 2], [3, 3], [4, 1]], [[-2, 1], [-1, 1], [0, 1], [1, 1]], [[5, 5]] * 4],
    share=0.625,
)
ROWS = [
    row("a.png", "photograph", "hole", "completion", psnr=20.0),
    row("b.png", "photograph", "completion", "truth", psnr=math.inf),
    row("c.png", "photograph", psnr=math.nan),
    row("d.png", "photograph", psnr=-3.0),
]


@pytest.fixture
def written(tmp_path):
    """Writes a report and returns its text."""

    def write(*, title="A title", facts=(), figures=(), rows=(), failures=()):
        path = tmp_path / "report.html"
        write_report(
            path,
            title=title,
            completed=len(rows),
            facts=dict(facts),
            figures=figures if isinstance(figures, dict) else {"": figures},
            rows=rows,
            failures=failures,
        )
        return path.read_text(encoding="utf-8")

    return write


class Tags(HTMLParser):
    """All start tags of a page as (tag, attributes), and its text without style and script."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] not in ("style", "script"):
            self.text += data

    def having(self, attribute):
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]


def test_names_and_texts_are_shown_and_never_executed(written):
    page = written(
        title=HOSTILE,
        facts={HOSTILE: HOSTILE},
        figures={HOSTILE: [Line(HOSTILE, {HOSTILE: Estimate(1, 1, 1, 1)}, HOSTILE)]},
        rows=[
            Row(
                HOSTILE,
                {HOSTILE: png(0)},
                HOSTILE,
                {HOSTILE: 1.0, f"{HOSTILE}/{HOSTILE}": 1},
                group=HOSTILE,
            )
        ],
        failures=[(HOSTILE, HOSTILE)],
    )
    tags = Tags(page)
    assert [tag for tag, _ in tags.tags].count("script") == 1
    assert tags.text.count(HOSTILE) >= 10
    assert not any(name.startswith("on") for _, attributes in tags.tags for name in attributes)


def test_the_page_refers_to_nothing_outside_itself(written):
    rows = [*ROWS, Row("e.png", {}, trail=TRAIL)]
    page = written(facts={"command": "python inpaint.py"}, figures=FIGURES, rows=rows)
    assert not re.search(r"(https?|file|ftp):|//[a-z]+\.|@import|url\(", page)
    tags = Tags(page)
    assert all(link.startswith("data:") for link in tags.having("src") + tags.having("href"))
    assert not {"iframe", "object", "embed", "form", "base"} & {tag for tag, _ in tags.tags}
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    assert policy + "script-src 'unsafe-inline'" in tags.having("content")


def test_all_pictures_are_inlined_in_order_under_their_captions(written):
    page = written(rows=ROWS)
    sources = [
        base64.b64decode(source.removeprefix("data:image/png;base64,"))
        for source in Tags(page).having("src")
    ]
    assert sources == [picture for one in ROWS for picture in one.pictures.values()]
    captions = re.findall("<figcaption>(.+)</figcaption>", page)
    assert captions == [caption for one in ROWS for caption in one.pictures]


@pytest.mark.parametrize(
    ("size", "width", "pixelated"), [(8, 128, 1), (96, 96, 1), (256, 256, 1), (400, 256, 0)]
)
def test_small_pictures_grow_by_whole_pixels_and_large_ones_shrink(written, size, width, pixelated):
    page = written(rows=[Row("a.png", {"photograph": png(0, size)})])
    assert f'width="{width}" height="{width}"' in page
    assert page.count('class="pixelated"') == pixelated


def test_a_trail_is_shown_step_by_step_with_its_losses(written):
    page = written(rows=[Row("a.png", {"photograph": png(0)}, trail=TRAIL)])
    sources = [
        base64.b64decode(source.removeprefix("data:image/png;base64,"))
        for source in Tags(page).having("src")
    ]
    assert sources[1:] == [picture for strip in TRAIL.strips for picture in strip]
    text = " ".join(Tags(page).text.replace("\N{MINUS SIGN}", "-").split())
    for told in (
        *("1: step 0 context 9.00 prior -0.50000", "1: step 60 context 1.25 prior -0.12500"),
        *("2: step 3 context 8.00 prior 0.25000", "62% of the variance of all starts"),
    ):
        assert told in text
    assert "3: step" not in text  # drawn, but without pictures


def test_the_way_of_each_start_is_drawn_to_scale_with_the_best_on_top(written):
    page = written(rows=[Row("a.png", {}, trail=TRAIL)])
    drawing = page[page.index("<svg") : page.index("</svg>")]
    numbers = re.findall('<line x1="(.+?)" y1="(.+?)" x2="(.+?)" y2="(.+?)" .*: (.+?)"', drawing)
    lines = np.array(numbers, float).reshape(3, 3, 5)
    assert re.findall(">([0-9])</text>", drawing) == ["3", "2", "1"]
    assert drawing.count("taken") == 1
    assert drawing.index("taken") > drawing.index(">2</text>")
    assert lines[..., [0, 2]].min() >= 0 < lines[..., [0, 2]].max() <= 320
    assert lines[..., [1, 3]].min() >= 0 < lines[..., [1, 3]].max() <= 240
    assert np.array_equal(lines[:, :-1, 2:4], lines[:, 1:, :2])  # each begins where one ends
    assert np.all(np.diff(lines[..., 4], axis=1) > 0)
    assert np.all(lines[:, -1, 4] == 1)
    ways = np.concatenate([lines[:, :, :2], lines[:, -1:, 2:4]], axis=1)[::-1]
    moved = np.array(TRAIL.plane) - TRAIL.plane[0][0]
    scale = (ways[0, 1, 0] - ways[0, 0, 0]) / moved[0, 1, 0]
    np.testing.assert_allclose(ways - ways[0, 0], moved * [scale, -scale], atol=0.5)


def test_a_search_that_never_moved_is_drawn_as_a_point(written):
    still = dataclasses.replace(TRAIL, plane=[[[0.0, 0.0], [0.0, 0.0]]])
    page = written(rows=[Row("a.png", {}, trail=still)])
    assert '<circle class="end" cx="160.0" cy="120.0"' in page
    assert "of its steps" in page


def test_the_best_figure_of_each_column_is_marked(written):
    few = line("served the easy one", 40.0, 0.001, n=1)
    page = written(figures=[*FIGURES, few])
    best = re.findall('data-column="(.+)" data-value="(.+)" class="best"', page)
    assert best == [("hole/psnr", "17.25"), ("hole/l1", "0.03125")]


def test_a_single_method_is_not_called_the_best(written):
    assert 'class="best"' not in written(figures=FIGURES[:1])


def test_figures_show_mean_interval_and_number_of_images(written):
    some = line("latent", 20.0, 0.5, n=7)
    some.figures["hole/ssim"] = Estimate(0.5, 0.25, 0.75, 5)
    none = line("nothing", math.nan, math.nan, n=0)
    text = Tags(written(figures=[some, none])).text.replace("\N{EN DASH}", "to")
    latent = "n = 7 20.00 18.00 to 22.00 0.5000 0.4500 to 0.5500 0.500 0.250 to 0.750 n = 5"
    assert f"{latent} nothingn = 0 to to to to to to" in " ".join(text.split())


def test_each_table_has_its_caption_its_best_and_its_remarks(written):
    tables = {"faces": FIGURES, "cars": [line("tv", 9.5, 0.5), Line("latent", {}, "has no model")]}
    page = written(figures=tables)
    assert re.findall("<h3>(.+)</h3>", page) == ["faces", "cars"]
    best = re.findall('data-column="hole/psnr" data-value="(.+)" class="best"', page)
    assert best == ["17.25"]  # nothing is the best of one
    assert "has no model" in Tags(page).text


def test_failures_are_listed_with_their_reason(written):
    text = Tags(written(failures=[("a.jpg", "is truncated"), ("b.jpg", "has no hole")])).text
    assert re.search(r"2 failures\s.*a\.jpgis truncated\s+b\.jpghas no hole", text, re.DOTALL)


def test_an_existing_report_is_replaced_and_names_that_are_no_text_survive(written, tmp_path):
    written(title="before")
    assert "odd\\udcff.png" in written(title="after", failures=[("odd\udcff.png", "no image")])
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


@browser.needed
def test_a_browser_sorts_and_enlarges_without_complaint(written, tmp_path):
    rows = [dataclasses.replace(one, trail=TRAIL, group="faces") for one in ROWS]
    rows.append(dataclasses.replace(row("e.png", psnr=1.0), group="cars"))
    page = written(figures={"faces": FIGURES, "cars": FIGURES[:2]}, rows=rows)
    clicks = """
      const [, psnr, l1] = document.querySelectorAll(".figures button");
      l1.click(); psnr.click(); psnr.click();
      document.querySelectorAll(".pictures button")[1].click();
      const arrow = new KeyboardEvent("keydown", {key: "ArrowDown"});
      document.querySelector("dialog").dispatchEvent(arrow);
    """
    place = "sort=hole/psnr&first=best&group=faces"
    dom = browser.opened(page, tmp_path, place=place, script=clicks)
    shown = re.findall('data-group="faces".*>\n<div>\n<h3>(.+)</h3>', dom)
    assert shown == ["b.png", "a.png", "d.png", "c.png"]
    assert re.findall('data-group="(.+)" hidden', dom) == ["cars"]
    methods = re.findall('<th data-column="method" data-value="(.+?)">', dom)
    assert methods == ["mean", "laplace", "latent", "laplace", "latent"]
    assert re.findall('<th .*aria-sort="(.+?)"', dom) == ["ascending"] * 2
    assert re.search(r"<dialog .*open.*<figcaption>a\.png: hole</figcaption>", dom)
