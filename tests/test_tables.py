"""A table has a place for everything: what was measured, what was refused, and what it hides."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import browser
import numpy as np
import pytest
from folders import laplace, latent, numbered, truncated

from ce_jax import batch
from ce_jax.config import ConfigError, Entry, LatentSearch, Table
from ce_jax.inpainting.claims import OutputError
from ce_jax.inpainting.manifest import Manifest
from ce_jax.metrics import Estimate
from ce_jax.runs import loading
from ce_jax.tables import cells, tabulate
from ce_jax.tables.export import Result, write_tables
from ce_jax.tables.report import write_page


@pytest.fixture
def table(tmp_path):
    """Laplace fill over two kinds of hole in five photographs, one of which is broken."""
    numbered(tmp_path / "here" / "photos", 5)
    truncated(tmp_path / "here" / "photos" / "02.jpg")
    entry = Entry(data="photos", method="Laplace", inpainting=laplace("folder:photos", "-"))
    return Table(
        entries=(entry,),
        holes=("center", "random:0.5"),
        data=str(tmp_path / "here"),
        models=str(tmp_path),
        output=str(tmp_path / "table"),
        worst=2,
    )


def written(table):
    return json.loads(Path(table.output, "table.json").read_text())["cells"]


def test_every_cell_is_an_inpainting_of_its_own(table):
    assert tabulate(table) == (batch.Outcome(done=10, failed=2, total=12, stopped=False), 0)
    cells = written(table)
    assert [cell["folder"] for cell in cells] == [
        "cells/photos/center/Laplace",
        "cells/photos/random-0.5/Laplace",
    ]
    for cell in cells:
        alone = json.loads(Path(table.output, cell["folder"], "metrics.json").read_text())
        measured = alone["figures"]["laplace"]
        assert {k: v for k, v in cell["figures"].items() if k != "seconds"} == measured
        assert cell["facts"] == alone["facts"]
        assert (cell["done"], cell["failed"]) == (5, 1)
        assert cell["note"].startswith("1 failed: ")
        assert "02.jpg" in cell["note"]
    hashes = {cell["facts"]["hole set"] for cell in cells}
    assert len(hashes) == 2

    rows = list(csv.DictReader(Path(table.output, "table.csv").read_text().splitlines()))
    assert [row["holes"] for row in rows] == ["center", "random:0.5"]
    for row, cell in zip(rows, cells, strict=True):
        assert float(row["hole/psnr"]) == cell["figures"]["hole/psnr"]["mean"]
        assert (
            float(row["hole/psnr/low"]) <= float(row["hole/psnr"]) <= float(row["hole/psnr/high"])
        )
        assert row["hole set"] == cell["facts"]["hole set"]
    text = Path(table.output, "table.md").read_text()
    assert text.count("| Laplace | 5 |") == 2
    assert all(one in text for one in hashes)


def test_the_page_shows_every_figure_and_the_worst_images(table):
    tabulate(table)
    page = Path(table.output, "report.html").read_text()
    assert re.findall("<h3>(.+, .+)</h3>", page) == ["photos, center", "photos, random:0.5"]
    shown = re.findall('<p class="quiet">photos, (.+), Laplace</p>', page)
    everything = [
        (record["figures"]["laplace"]["hole/psnr"], holes)
        for holes in ("center", "random-0.5")
        for line in Path(table.output, "cells/photos", holes, "Laplace/manifest.jsonl")
        .read_text()
        .splitlines()
        if (record := json.loads(line))["status"] == "done"
    ]
    worst = [holes.replace("-", ":") for _, holes in sorted(everything)[:2]]
    assert shown == worst
    assert page.count("<figcaption>error, 2 times</figcaption>") == 2


def test_the_page_shows_the_same_images_as_every_method_completed_them(table):
    """Taken evenly from all, of those that all methods could complete; not the worst, shown too."""
    pasted = replace(table.entries[0].inpainting, blend="overlay")
    other = Entry(data="photos", method="pasted", inpainting=pasted)
    table = replace(table, entries=(*table.entries, other), rows=2, worst=4)
    tabulate(table)
    page = Path(table.output, "report.html").read_text()
    rows = re.findall('(?s)class="row example">(.+?)</article>', page)
    names = [re.findall("<h3>(.+)</h3>", row) for row in rows]
    assert names == [["00"], ["02.png"]] * len(table.holes)
    for row in rows:
        captions = re.findall("<figcaption>(.+)</figcaption>", row)
        assert [caption.split(",")[0] for caption in captions] == [
            "hole", "Laplace", "pasted", "truth"
        ]  # fmt: skip
        assert re.fullmatch(r"Laplace, \d+\.\d dB", captions[1])


@browser.needed
def test_a_browser_sorts_every_table_by_the_figure_that_is_clicked(table, tmp_path):
    """Two data sets, two kinds of hole and three methods, with figures made up."""
    entries = [
        replace(table.entries[0], data=data, method=method)
        for data in ("faces", "cars")
        for method in ("one", "other", "third")
    ]
    table = replace(table, entries=tuple(entries))
    psnr = np.random.default_rng(0).uniform(10, 30, (4, 3))
    psnr[:, 1] = np.nan  # of which nothing is known
    results = [
        Result(cell, 5, figures={"hole/psnr": Estimate(mean, mean - 1, mean + 1, 5)})
        for cell, mean in zip(cells(table), psnr.ravel(), strict=True)
    ]
    write_page(tmp_path, table, results)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    click = "document.querySelector('.figures [data-column=\"hole/psnr\"] button').click();"
    ascending = np.sort(psnr[:, ::2], axis=1)
    assert not np.array_equal(ascending, psnr[:, ::2])
    for clicks, expected in ((1, ascending[:, ::-1]), (2, ascending)):
        dom = browser.opened(page, tmp_path, script=click * clicks)
        found = [
            re.findall('<td data-column="hole/psnr" data-value="(.*?)"', one)
            for one in re.findall('(?s)<table class="figures">(.+?)</table>', dom)
        ]
        assert found == [[*map(str, row), ""] for row in expected.tolist()]


def test_what_is_done_is_not_done_again_and_what_is_new_is_added(table):
    tabulate(replace(table, holes=("center",)))
    before = Path(table.output, "cells/photos/center/Laplace/manifest.jsonl").read_bytes()
    tabulate(table)
    assert [cell["done"] for cell in written(table)] == [5, 5]
    lines = Path(table.output, "cells/photos/center/Laplace/manifest.jsonl").read_bytes()
    assert lines.startswith(before)
    assert lines.count(b'"status": "done"') == 5


def test_a_cell_of_another_config_says_so(table):
    other = replace(table.entries[0], method="other")
    table = replace(table, entries=(*table.entries, other), holes=("center",))
    tabulate(table)
    assert not any("made with" in cell["note"] for cell in written(table))
    changed = replace(table, seed=1, only_methods=("other",), overwrite=True)
    tabulate(changed)
    old, new = written(changed)
    assert old["note"].startswith("made with another seed (0); 1 failed: ")
    assert new["note"].startswith("1 failed: ")
    for file in ("report.html", "table.md", "table.csv"):
        assert Path(table.output, file).read_text().count("made with another seed (0)") == 1


def test_a_part_can_be_done_alone_and_the_rest_says_so(table):
    other = replace(table.entries[0], data="others")
    table = replace(table, entries=(*table.entries, other), holes=("center",))
    tabulate(replace(table, only_data=("photos",)))
    assert [(cell["done"], cell["note"][:11]) for cell in written(table)] == [
        (5, "1 failed: /"),
        (0, "not run yet"),
    ]


def test_a_cell_that_cannot_begin_gives_its_reason_and_the_others_go_on(table, tmp_path):
    missing = Entry(
        data="photos", method="search", inpainting=latent("folder:photos", "-", "nothing")
    )
    told = []
    outcome, refused_cells = tabulate(
        replace(table, entries=(missing, *table.entries), holes=("center",)), tell=told.append
    )
    assert outcome == batch.Outcome(done=5, failed=1, total=6, stopped=False)
    assert refused_cells == 1
    assert told[0] == "1 of 2: photos, center, search"
    assert told[1].startswith("refused: ") and str(tmp_path / "nothing") in told[1]
    refused, measured = written(table)
    assert str(tmp_path / "nothing") in refused["note"]
    assert (refused["done"], refused["figures"]) == (0, {})
    assert measured["done"] == 5
    assert str(tmp_path / "nothing") in Path(table.output, "report.html").read_text()


def test_images_that_a_network_was_trained_on_are_counted(table, model):
    """By their pixels: the digits of the training run have other names in this folder."""
    entries = [
        Entry(data=data, method="search", inpainting=latent(source, "-", model, batch_size=8))
        for data, source in (("seen", "bundled:digits[60:66]"), ("new", "bundled:digits[100:106]"))
    ]
    tabulate(replace(table, entries=tuple(entries), holes=("center",)))
    seen, new = written(table)
    assert seen["note"] == "trained on 4 of these 6 images"
    assert new["note"] == ""
    for cell in (seen, new):
        manifest = Manifest(Path(table.output, cell["folder"]))
        mean = np.mean([record["score"] for record in manifest.records()])
        assert cell["figures"]["objective"]["mean"] == pytest.approx(mean)
    # Of one search in a table, there is nothing to hold it against.
    assert "objective" not in Path(table.output, "table.md").read_text()


def test_of_one_image_no_interval_is_given(table):
    alone = replace(table.entries[0].inpainting, images="folder:photos[:1]")
    table = replace(table, entries=(replace(table.entries[0], inpainting=alone),))
    tabulate(table)
    for cell in written(table):
        assert {one["n"] for one in cell["figures"].values()} == {1}
        assert {one["low"] for one in cell["figures"].values()} == {None}
    assert "nan" not in Path(table.output, "table.md").read_text()


def test_what_a_released_network_was_trained_on_need_not_be_there(table, model, monkeypatch):
    """Its card says it; but where it is below the table's data, its images are counted."""
    one = Entry(data="photos", method="search", inpainting=latent("folder:photos", "-", model))
    table = replace(table, entries=(one,), holes=("center",))
    learned = loading.config_of(model)

    def notes(source):
        data = replace(learned.data, source=source)
        monkeypatch.setattr(loading, "config_of", lambda _: replace(learned, data=data))
        tabulate(table)
        return written(table)[0]["note"]

    assert "'nowhere' is not a folder" in notes("folder:nowhere")
    monkeypatch.setattr(loading, "is_released", lambda _: True)
    assert "trained" not in notes("folder:nowhere") and "known" not in notes("folder:nowhere")
    assert "trained on 5 of these 5 images" in notes("folder:photos")


def test_the_objective_of_searches_is_shown_beside_that_of_others(table, tmp_path):
    one, other = cells(table)[:1] * 2
    figures = [{"objective": Estimate(mean, mean, mean, 5)} for mean in (12.25, 9.5)]
    results = [Result(one, 5, figures=figures[0]), Result(other, 5, figures=figures[1])]
    write_tables(tmp_path, table, results)
    assert "| objective |" in (text := (tmp_path / "table.md").read_text())
    assert "| 12.25 |" in text and "| 9.50 |" in text
    how = replace(other.inpainting, latent=LatentSearch(prior=0.1))
    results[1] = results[1]._replace(cell=other._replace(inpainting=how))
    write_tables(tmp_path, table, results)
    assert "objective" not in (tmp_path / "table.md").read_text()


def test_a_cell_that_another_process_ended_meanwhile_is_in_the_table(table):
    half, other_half = (
        replace(table.entries[0].inpainting, shard=shard) for shard in ("0/2", "1/2")
    )
    table = replace(table, entries=(replace(table.entries[0], inpainting=half),))
    first = cells(replace(table, entries=(replace(table.entries[0], inpainting=other_half),)))[0]

    def meanwhile(line):
        if line.startswith("2 of 2"):
            assert [cell["note"] for cell in written(table)] == ["not run yet"] * 2
            batch.inpaint(first.inpainting)

    tabulate(table, tell=meanwhile)
    assert [cell["done"] for cell in written(table)] == [5, 0]
    assert "photos, center" in Path(table.output, "report.html").read_text()


@pytest.mark.parametrize(
    ("models", "model", "there"),
    [
        ("runs", "dcgan", "runs/dcgan"),
        ("runs", "gs://bucket/dcgan", "gs://bucket/dcgan"),
        ("gs://bucket/runs", "dcgan", "gs://bucket/runs/dcgan"),
        ("runs", "/all/dcgan", "/all/dcgan"),
    ],
)
def test_models_may_be_in_an_object_store(table, models, model, there):
    (entry,) = table.entries
    searched = replace(entry.inpainting, model=model, method="latent")
    several = replace(table, models=models, entries=(replace(entry, inpainting=searched),))
    assert {cell.inpainting.model for cell in cells(several)} == {there}


def test_a_folder_with_other_files_is_left_alone(table):
    Path(table.output).mkdir()
    Path(table.output, "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="table holds other files"):
        tabulate(table)
    assert [path.name for path in Path(table.output).iterdir()] == ["thesis.tex"]


def test_a_run_that_is_stopped_leaves_a_table_of_what_it_has(table):
    asked = iter([False, False, True, True, True, True])
    outcome, _ = tabulate(table, stopped=lambda: next(asked))
    assert outcome.stopped
    assert [cell["note"] == "not run yet" for cell in written(table)] == [False, True]


def test_a_run_that_is_stopped_in_its_last_batch_is_done(table):
    asked = iter([False])
    outcome, _ = tabulate(replace(table, holes=("center",)), stopped=lambda: next(asked, True))
    assert outcome == batch.Outcome(done=5, failed=1, total=6, stopped=False)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"entries": ()}, "entries must be at least one"),
        ({"holes": ()}, "holes must be at least one kind of hole"),
        ({"worst": -1}, "worst must be at least 0"),
        ({"only_data": ("faces",)}, r"only_data must be among photos, got \('faces',\)"),
        ({"only_methods": ("tv",)}, "only_methods must be among Laplace"),
    ],
)
def test_a_table_that_makes_no_sense_is_refused_by_name(table, changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        replace(table, **changes)
    with pytest.raises(ConfigError, match="entries must be different"):
        replace(table, entries=table.entries * 2)
