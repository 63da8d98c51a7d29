"""What bfloat16 costs: the same runs in both precisions, with several seeds, on bundled digits.

    python -m benchmarks.precision --steps 300 --seeds 3

A context encoder is judged by the PSNR over the hole of digits that it has not seen (higher is
better), a DCGAN by how alike its samples and these digits are, as the squared distance of Fréchet
between their pixels at 8x8 (lower is better). Both networks are looked at in float32.
"""

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ce_jax import data, images, losses, sources
from ce_jax.config import Adam, ContextEncoder, Data, Dcgan, Frame, Training
from ce_jax.metrics import distributions
from ce_jax.runs import checkpointing
from ce_jax.state import apply
from ce_jax.systems import context_encoder, dcgan
from ce_jax.training import train

_LEARNED, _HELD_OUT = "bundled:digits[:1500]", "bundled:digits[1500:]"
_SIZE = 32


def runs(steps: int, seed: int) -> dict[str, Training]:
    """One small run of each kind."""
    common = {
        "data": Data(source=_LEARNED, frame=Frame(size=_SIZE), flip=False),
        "steps": steps,
        "batch_size": 32,
        "seed": seed,
        "log_every": 5,
        "picture_every": steps,
        "checkpoint_every": steps,
    }
    encoder = ContextEncoder(width=16, bottleneck=200, adversarial=0.0)
    return {
        "context encoder, PSNR in dB": Training(model=encoder, generator=Adam(rate=1e-3), **common),
        "DCGAN, Fréchet distance": Training(model=Dcgan(width=16), average=0.99, **common),
    }


def judged(config: Training, workdir: Path) -> tuple[float, float]:
    """How good a finished run is, and the mean loss of its generator in its last fifth."""
    variables = checkpointing.load(workdir).generator
    unseen = data.examples(sources.open_source(_HELD_OUT), config.data.frame, 10_000)
    truth = images.to_float(unseen)
    lines = [json.loads(line) for line in (workdir / "scalars.jsonl").read_text().splitlines()]
    last = [line["loss/generator"] for line in lines if line["step"] > 0.8 * config.steps]
    model = config.model
    if isinstance(model, ContextEncoder):
        shown, margin = jnp.asarray(truth), _SIZE // 4 + model.overlap
        hole = jnp.zeros((*truth.shape[:3], 1), bool)
        hole = hole.at[:, margin:-margin, margin:-margin].set(True)
        module = context_encoder.module_of(model, size=_SIZE)
        found = apply(module, variables, context_encoder.paint(model, shown, hole))
        center = context_encoder.center
        psnr = losses.hole_psnr(found, center(shown), center(hole))
        return float(jnp.mean(psnr)), float(np.mean(last))
    assert isinstance(model, Dcgan)
    keys = jax.random.split(jax.random.key(0), len(truth))
    generator, _ = dcgan.modules(model, size=_SIZE)
    samples = apply(generator, variables, dcgan.draw_latent(keys, dimensions=model.latent))
    distance = distributions.frechet_distance(_pixels(np.asarray(samples)), _pixels(truth))
    return distance, float(np.mean(last))


def _pixels(pictures: np.ndarray) -> np.ndarray:
    """Of each picture the 64 grey ones that are left at 8x8."""
    grey = pictures.mean(axis=-1, dtype=np.float64)
    small = grey.reshape(len(grey), 8, _SIZE // 8, 8, _SIZE // 8).mean(axis=(2, 4))
    return small.reshape(len(small), -1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains everything, and prints one row for each run."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.precision",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--steps", type=int, default=300, help="steps of a run; 300")
    parser.add_argument("--seeds", type=int, default=3, help="seeds, from 0 on; 3")
    options = parser.parse_args(arguments)
    print("| run | seed | float32 | bfloat16 | difference | loss, float32 | loss, bfloat16 |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    differences: dict[str, list[float]] = {}
    for seed in range(options.seeds):
        for name, exact in runs(options.steps, seed).items():
            found = []
            for precision in ("float32", "bfloat16"):
                config = dataclasses.replace(exact, precision=precision)
                with tempfile.TemporaryDirectory() as folder:
                    train(config, Path(folder, "run"))
                    found.append(judged(config, Path(folder, "run")))
            (ours, our_loss), (theirs, their_loss) = found
            differences.setdefault(name, []).append(theirs - ours)
            print(
                f"| {name} | {seed} | {ours:.3f} | {theirs:.3f} | {theirs - ours:+.3f} "
                f"| {our_loss:.4f} | {their_loss:.4f} |",
                flush=True,
            )
    for name, each in differences.items():
        print(f"| {name} | mean of {len(each)} | | | {np.mean(each):+.3f} | | |")


if __name__ == "__main__":
    main()
