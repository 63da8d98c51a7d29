"""Everything that a folder of somebody else may hold, and what becomes of it: a table with tests.

What needs no test of its own is tested where it is done; the table says where.
"""

import ast
import errno
import os
from pathlib import Path

import numpy as np
import pytest
from folders import FRAME, contents, hole_file, laplace, manifest, noise, photographs, pictures
from PIL import Image

from ce_jax import images
from ce_jax.batch import inpaint
from ce_jax.completion import methods

HERE = Path(__file__).parent

TABLE = {
    "truncated JPEG or PNG": [
        "images.test_a_truncated_file_is_refused_by_name",
        "batch.test_every_kind_of_image_is_completed_and_a_damaged_one_is_named",
        "exit_codes.test_the_exit_code_tells_how_many_images_were_completed",
    ],
    "bit-flipped file": ["resuming.test_a_file_of_another_checksum_is_named"],
    "hole of another size than its image": [
        "batch.test_holes_in_a_folder_are_found_by_name_and_those_that_do_not_fit_are_named",
        "returning.test_photographs_need_holes_of_their_size_from_files_and_no_truth",
        "bad_inputs.test_a_hole_of_another_size_is_resized_only_on_demand",
    ],
    "missing hole": [
        "batch.test_holes_in_a_folder_are_found_by_name_and_those_that_do_not_fit_are_named",
        "planning.test_the_plan_tells_of_holes_without_images_and_images_without_holes",
        "bad_inputs.test_an_image_without_a_hole_file_is_left_whole_only_on_demand",
    ],
    "RGBA": ["returning.test_a_photograph_of_any_kind_comes_back_in_it_with_its_known_pixels"],
    "hole drawn in alpha": ["hole_files.test_a_hole_drawn_in_the_alpha_channel_is_refused"],
    "16-bit PNG": [
        "images.test_16_bits_are_scaled_to_8_and_not_saturated",
        "hole_files.test_sixteen_bits_are_scaled_and_not_clipped",
        "returning.test_a_photograph_of_any_kind_comes_back_in_it_with_its_known_pixels",
    ],
    "grey, palette, CMYK, several frames": [
        "images.test_a_palette_becomes_its_colours",
        "images.test_cmyk_becomes_rgb",
        "images.test_several_frames_are_refused",
        "returning.test_a_photograph_of_any_kind_comes_back_in_it_with_its_known_pixels",
    ],
    "soft hole": [
        "hole_files.test_from_128_on_grey_counts_as_white",
        "hole_files.test_soft_pixels_are_counted",
        "bad_inputs.test_a_soft_hole_is_noted",
    ],
    "EXIF orientation": [
        "images.test_exif_orientation_is_undone",
        "returning.test_a_photograph_of_any_kind_comes_back_in_it_with_its_known_pixels",
    ],
    "bomb": ["images.test_a_bomb_is_refused_from_its_header"],
    "empty hole": [
        "batch.test_empty_full_and_border_holes_are_completed_and_noted",
        "returning.test_without_a_hole_a_png_comes_back_byte_for_byte_and_others_pixel_for_pixel",
        "bad_inputs.test_no_method_is_asked_about_an_image_that_misses_nothing",
    ],
    "full hole": ["batch.test_empty_full_and_border_holes_are_completed_and_noted"],
    "hole on the border": [
        "batch.test_empty_full_and_border_holes_are_completed_and_noted",
        "surroundings.test_what_is_smooth_comes_back_and_known_pixels_do_not_change",
    ],
    "hole of one pixel": [
        "returning.test_the_manifest_says_which_square_was_completed",
        "returning.test_a_photograph_of_any_kind_comes_back_in_it_with_its_known_pixels",
    ],
    "not square": [
        "surroundings.test_the_square_lies_around_the_hole",
        "returning.test_a_photograph_of_any_kind_comes_back_in_it_with_its_known_pixels",
    ],
    "odd and very long names": [
        "batch.test_images_keep_their_names_in_all_their_variety",
        "batch.test_a_damaged_file_with_a_name_that_is_no_text_does_not_end_the_run",
        "bad_inputs.test_a_name_that_is_too_long_for_a_result_fails_alone",
    ],
    "duplicate stems, other case, sub-folders": [
        "sources.test_names_stay_unique_even_where_case_is_ignored",
        "sources.test_equal_names_in_other_case_are_counted",
        "hole_files.test_images_that_keep_their_endings_find_holes_of_their_own",
        "batch.test_images_keep_their_names_in_all_their_variety",
    ],
    "output in the input, results of others": [
        "claims.test_results_are_not_written_where_images_are_read",
        "claims.test_a_folder_of_somebody_else_is_refused",
        "claims.test_results_of_another_config_are_replaced_only_on_demand_and_other_files_never",
    ],
    "killed while writing": [
        "killing.test_killed_at_any_moment_and_resumed_it_equals_an_uninterrupted_run",
        "resuming.test_what_a_killed_process_left_half_written_is_removed_and_nothing_else",
    ],
    "preemption": [
        "exit_codes.test_an_inpainting_that_is_stopped_keeps_what_is_done_and_continues",
        "batch.test_a_run_that_was_stopped_and_resumed_equals_an_uninterrupted_one",
        "end_to_end.test_from_a_training_that_is_stopped_and_continued_to_the_report",
    ],
    "disk full, read-only": [
        "planning.test_a_disk_without_room_is_refused_before_the_work_begins",
        "planning.test_a_folder_that_cannot_be_written_is_refused_before_the_work_begins",
        "bad_inputs.test_a_disk_that_fills_up_costs_nothing_that_was_done",
    ],
    "NaN": [
        "resuming.test_an_image_without_a_number_begins_anew_with_another_key_and_then_fails",
        "batch.test_an_image_for_which_the_method_finds_no_number_is_named",
    ],
    "nothing found": [
        "sources.test_a_folder_without_images_says_what_it_holds",
        "hole_files.test_a_folder_without_pictures_is_refused",
        "refusals.test_an_inpainting_that_cannot_begin_says_why_and_writes_nothing",
    ],
    "tested on what was trained on": [
        "tables.test_images_that_a_network_was_trained_on_are_counted"
    ],
    "mismatched pairs": [
        "results.test_the_truth_may_come_from_another_source",
        "planning.test_the_plan_tells_of_holes_without_images_and_images_without_holes",
    ],
    "lossy compression in figures": [
        "results.test_figures_are_of_the_files_that_were_written",
        "bad_inputs.test_the_plan_warns_of_figures_against_lossy_images",
    ],
}


def test_each_row_of_the_table_has_its_tests():
    named = {name for names in TABLE.values() for name in names}
    files = {name.partition(".")[0] for name in named}
    trees = {file: ast.parse((HERE / f"test_{file}.py").read_text()) for file in files}
    there = {
        f"{file}.{node.name}"
        for file, tree in trees.items()
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
    }
    assert named - there == set()


def test_a_hole_of_another_size_is_resized_only_on_demand(tmp_path):
    source = photographs(tmp_path / "in", "a")
    hole = hole_file(tmp_path / "hole.png", (20, 20, 60, 40), height=80, width=100)
    config = laplace(source, tmp_path / "out", holes=hole)
    assert inpaint(config) == (0, 1, 1, False)
    assert "hole.png is 100x80, but image a is 50x40" in manifest(tmp_path / "out")["a"]["reason"]
    resized = laplace(source, tmp_path / "resized", holes=hole, resize_holes=True)
    half = hole_file(tmp_path / "half.png", (10, 10, 30, 20))
    fitting = laplace(source, tmp_path / "fitting", holes=half)
    assert inpaint(resized) == inpaint(fitting) == (1, 0, 1, False)
    assert pictures(tmp_path / "resized") == pictures(tmp_path / "fitting")


def test_an_image_without_a_hole_file_is_left_whole_only_on_demand(tmp_path):
    source, drawn = photographs(tmp_path / "in", "a", "b"), tmp_path / "holes"
    hole_file(drawn / "a.png", (5, 5, 20, 20))
    assert inpaint(laplace(source, tmp_path / "out", holes=str(drawn))) == (1, 1, 2, False)
    config = laplace(source, tmp_path / "all", holes=str(drawn), allow_missing=True, frame=None)
    assert inpaint(config) == (2, 0, 2, False)
    record = manifest(tmp_path / "all")["b"]
    assert record["note"] == "nothing to do: the hole is empty"
    assert record["files"].keys() == {"image"}
    assert pictures(tmp_path / "all" / "images")["b.png"] == pictures(tmp_path / "in")["b.png"]
    hole_file(drawn / "b.png", (5, 5, 20, 20))  # drawn at last
    inpaint(config)
    assert manifest(tmp_path / "all")["b"]["note"] == ""


def test_a_soft_hole_is_noted(tmp_path):
    source, drawn = photographs(tmp_path / "in", "hard", "soft"), tmp_path / "holes"
    for name, hardness in (("hard", 1), ("soft", 8)):
        hole_file(drawn / f"{name}.png", (5, 5, 20, 20))
        with Image.open(drawn / f"{name}.png") as picture:
            small = picture.resize((50 // hardness, 40 // hardness))
        small.resize((50, 40), Image.Resampling.BILINEAR).save(drawn / f"{name}.png")
    inpaint(laplace(source, tmp_path / "out", holes=str(drawn)))
    records = manifest(tmp_path / "out")
    assert records["hard"]["note"] == ""
    assert "% of the hole file is neither black nor white" in records["soft"]["note"]


def test_no_method_is_asked_about_an_image_that_misses_nothing(tmp_path, monkeypatch):
    def unasked(*_):
        raise AssertionError("asked")

    monkeypatch.setattr(methods, "build", lambda *_, **__: unasked)
    source = photographs(tmp_path / "in", "a")
    hole = hole_file(tmp_path / "hole.png", (0, 0, 0, 0))
    assert inpaint(laplace(source, tmp_path / "out", holes=hole)) == (1, 0, 1, False)
    framed = images.frame(noise(0), FRAME)
    assert np.array_equal(images.read(tmp_path / "out" / "images" / "a.png"), framed)


def test_a_name_that_is_too_long_for_a_result_fails_alone(tmp_path):
    source, long = photographs(tmp_path / "in", "a"), "é" * 125
    for ending in ("jpg", "png"):  # so that the names of both keep their endings
        Image.fromarray(noise(1)).save(tmp_path / "in" / f"{long}.{ending}")
    assert inpaint(laplace(source, tmp_path / "out")) == (1, 2, 3, False)
    reasons = [one["reason"] for one in manifest(tmp_path / "out").values() if "reason" in one]
    assert all("the name is too long for a result" in reason for reason in reasons)


def test_a_disk_that_fills_up_costs_nothing_that_was_done(tmp_path, monkeypatch):
    source = photographs(tmp_path / "in", *(f"{number:02}" for number in range(20)))
    config = laplace(source, tmp_path / "out", report_rows=0, report_worst=0)
    written = []
    replace = os.replace

    def fill_up(temporary, path):
        written.append(path)
        if len(written) > 13:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        replace(temporary, path)

    monkeypatch.setattr(os, "replace", fill_up)
    with pytest.raises(OSError, match="No space left on device"):
        inpaint(config)
    monkeypatch.undo()
    before = contents(tmp_path / "out" / "images")
    assert len(before) == 12  # and inpainting.json
    done = manifest(tmp_path / "out")
    assert len(done) == 8  # the first batch
    assert not list((tmp_path / "out").rglob("*.tmp"))
    assert inpaint(config) == (20, 0, 20, False)
    after = contents(tmp_path / "out" / "images")
    assert all(after[f"{name}.png"] == before[f"{name}.png"] for name in done)


def test_the_plan_warns_of_figures_against_lossy_images(tmp_path):
    source = photographs(tmp_path / "in", "a", "b")
    Image.fromarray(noise(1)).save(tmp_path / "in" / "c.jpg")
    told = []
    inpaint(laplace(source, tmp_path / "out"), tell=told.append)
    assert told[2].startswith("1 of the intact images are lossy (JPEG, WebP)")
    hole = hole_file(tmp_path / "hole.png", (5, 5, 20, 20))
    inpaint(laplace(source, tmp_path / "other", holes=hole), tell=told.append)
    assert len(told) == 4 + 3
