"""Whether one method is better than another, and how unlike each other images are."""

import numpy as np
import pytest

from benchmarks import diversity, paired
from ce_jax.inpainting.manifest import Manifest

FIGURES = ("hole/psnr", "hole/ssim", "hole/l1", "hole/l2")


def folder(path, values):
    """An output folder in which images were measured so."""
    path.mkdir()
    figures = ({"blended": dict.fromkeys(FIGURES, value)} for value in values)
    lines = ({"name": f"{i}", "status": "done", "figures": f} for i, f in enumerate(figures))
    Manifest(path).append(lines)
    return path


def test_a_small_difference_is_seen_among_images_that_differ_much(tmp_path, capsys):
    theirs = np.random.default_rng(0).uniform(10, 30, 50)
    gain = np.linspace(0.01, 0.03, 50)
    gain[:5] *= -1
    paths = [folder(tmp_path / "ours", theirs + gain), folder(tmp_path / "theirs", theirs)]
    assert paired.main(list(map(str, paths))) == 0
    rows = dict(
        (cells[1], cells[2:5])
        for line in capsys.readouterr().out.splitlines()[2:]
        if (cells := [cell.strip() for cell in line.split("|")])
    )
    assert set(rows) == set(FIGURES)
    mean, _, interval = rows["hole/psnr"][0].partition(" ")
    low, high = map(float, interval.strip("()").split(" to "))
    assert float(mean) == pytest.approx(gain.mean(), abs=1e-4)
    assert 0 < low < gain.mean() < high
    assert rows["hole/psnr"][1:] == ["90%", "50"]
    assert rows["hole/l2"][1:] == ["10%", "50"]  # less is better


def test_a_figure_that_was_no_number_is_left_out_alone(tmp_path, capsys):
    ours, theirs = folder(tmp_path / "ours", [1.0, 2.0]), folder(tmp_path / "theirs", [0.5, 1.5])
    perfect = {"blended": {"hole/ssim": 1.0, "hole/l1": 0.0, "hole/l2": 0.0}}  # of infinite PSNR
    for path in (ours, theirs):
        Manifest(path).append([{"name": "2", "status": "done", "figures": perfect}])
    assert paired.main([str(ours), str(theirs)]) == 0
    psnr, ssim = capsys.readouterr().out.splitlines()[2:4]
    assert psnr.startswith("| hole/psnr | +0.5 ") and psnr.endswith("| 2 |")
    assert ssim.endswith("| 3 |")


def test_a_figure_that_was_no_number_of_any_image_has_no_row_of_nans(tmp_path, capsys):
    perfect = {"blended": {"hole/ssim": 1.0, "hole/l1": 0.0, "hole/l2": 0.0}}
    for name in ("ours", "theirs"):
        Manifest(folder(tmp_path / name, [])).append(
            [{"name": "0", "status": "done", "figures": perfect}]
        )
    assert paired.main([str(tmp_path / "ours"), str(tmp_path / "theirs")]) == 0
    psnr, ssim = capsys.readouterr().out.splitlines()[2:4]
    assert psnr == "| hole/psnr | n/a | n/a | 0 |"
    assert ssim.endswith("| 0% | 1 |")


def test_images_that_one_of_both_lacks_are_named(tmp_path):
    ours, theirs = folder(tmp_path / "ours", [1.0, 2.0]), folder(tmp_path / "theirs", [1.0])
    with pytest.raises(ValueError, match="1 was measured in one of the folders and not"):
        paired.main([str(ours), str(theirs)])
    with pytest.raises(ValueError, match="nowhere holds no image that was measured"):
        paired.main([str(ours), str(tmp_path / "nowhere")])


def test_images_are_as_unlike_as_they_look():
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (7, 32, 32, 3), np.uint8)
    alike = np.repeat(noise[:1], 6, axis=0)
    twins = np.repeat(noise, 2, axis=0)
    assert diversity.likeness(alike).mean == pytest.approx(1)
    assert diversity.likeness(twins).mean == pytest.approx(1)
    found = diversity.likeness(noise)
    assert abs(found.mean) < 0.1 and found.n == 3
    with pytest.raises(ValueError, match="name two or more"):
        diversity.likeness(noise[:1])
