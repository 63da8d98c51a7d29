"""What --profile says is counted in the program and measured on the clock."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import pytest
import tiny

from ce_jax.models import convolution
from ce_jax.runs import arithmetic, profiling
from ce_jax.training import train


@pytest.mark.parametrize(
    ("convolve", "given"),
    [
        (convolution.downsample, ("large", "kernel")),
        (convolution.upsample, ("small", "kernel")),
        (partial(convolution.correlate, side=4), ("large", "small")),
    ],
)
def test_operations_are_those_of_the_native_convolution(convolve, given):
    """On a CPU too, where Winograd's products would be fewer."""
    shapes = {"large": (2, 8, 8, 32), "small": (2, 4, 4, 16), "kernel": (4, 4, 32, 16)}
    found = arithmetic.flops(convolve, *(jnp.zeros(shapes[name]) for name in given))
    # Two for each product of two numbers that are there; a quarter of the border's are not.
    rows = sum(min(2 * i + 3, 8) - max(2 * i - 1, 0) for i in range(4))
    assert found == 2 * 2 * rows**2 * 32 * 16


def test_operations_are_counted_where_jax_may_not_use_the_processor(monkeypatch):
    def refuse(*_, backend=None, **__):
        raise RuntimeError(f"Unknown backend {backend}")

    with monkeypatch.context() as patched:
        patched.setattr(jax, "local_devices", refuse)
        found = arithmetic.flops(lambda x: x @ x, jnp.zeros((8, 8)))
    assert found == 2 * 8**3


@pytest.mark.slow
def test_the_operations_of_a_step_go_with_its_images_and_not_with_its_parts():
    run = tiny.vae()
    whole, twice, in_parts = (
        arithmetic.step_flops(replace(run, **changes))
        for changes in ({}, {"batch_size": 32}, {"microbatches": 4})
    )
    assert whole == in_parts
    # What is done with weights, and not with images, is done once.
    assert 1.8 < twice / whole < 2


@pytest.mark.slow
def test_a_profile_looks_at_a_run_and_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(arithmetic, "product_side", lambda: 64)
    run = tiny.context_encoder_alone(steps=20, picture_every=20, checkpoint_every=20)
    profile = profiling.Profile(run, tmp_path / "run" / "profile")
    with tiny.quickly():
        assert train(run, tmp_path / "plain") == 20
        assert train(run, tmp_path / "run", watch=profile.watch) == 20
    ours, theirs = (
        (tmp_path / name / "pictures" / "00000020.png").read_bytes() for name in ("run", "plain")
    )
    assert ours == theirs
    assert list((tmp_path / "run" / "profile").rglob("*.xplane.pb"))
    assert f"trace: {tmp_path / 'run' / 'profile'} (" in profile.report
    assert "images/s (" in profile.report
    assert "of a float32 matrix product on 8 devices" in profile.report


@pytest.mark.slow
def test_too_short_a_run_has_no_report(tmp_path, monkeypatch):
    monkeypatch.setattr(arithmetic, "product_side", lambda: 64)
    run = tiny.context_encoder_alone()
    profile = profiling.Profile(run, tmp_path / "run" / "profile")
    with tiny.quickly():
        train(run, tmp_path / "run", watch=profile.watch)
    assert profile.report is None
    assert not (tmp_path / "run" / "profile").exists()
