"""Model cards: what a model file is, in words, as far as the file itself knows."""

from pathlib import Path

import jax
import jax.numpy as jnp

from ce_jax import systems
from ce_jax.runs.releases import Precision, rounded
from ce_jax.runs.summary import INPAINTS
from ce_jax.state import Trained

_PICTURES = 16


def cost(trained: Trained, precision: Precision) -> float:
    """The largest difference that such kernels make in a picture, in grey levels of 255.

    Of a few pictures as a training run shows them: of random z; for a network that is shown images,
    of noise with holes.
    """
    if precision == "float32":
        return 0.0
    preview, size = systems.build(trained.config).preview, trained.config.data.frame.size
    drawn, noise = jax.random.split(jax.random.key(0))
    images = jax.random.uniform(noise, (_PICTURES, size, size, 3), minval=-1.0)
    exactly, nearly = (
        preview(networks.generator, images, jax.random.split(jax.random.clone(drawn), _PICTURES))
        for networks in (trained, rounded(trained, precision))
    )
    return float(127.5 * jnp.max(jnp.abs(exactly - nearly)))


def difference(cost: float) -> str:
    """What a cost is, in words."""
    return f"rounding changes a picture by at most {cost:.2g} of 255 grey levels"


def card(trained: Trained, *, path: Path, sha256: str, precision: Precision, cost: float) -> str:
    """The beginning of a model card, in Markdown.

    Args:
        trained: what is in the file.
        path: the file.
        sha256: of the file.
        precision: of its kernels.
        cost: what that makes of a difference, as `cost` has it.
    """
    config, model = trained.config, trained.config.model
    size = config.data.frame.size
    kind = type(model).__name__
    weights = sum(leaf.size for leaf in jax.tree.leaves((trained.generator, trained.critic)))
    facts = {
        "kind": kind,
        "images": f"{size}x{size}",
        "trained on": f"`{config.data.source}`",
        "steps": f"{trained.step}, of {config.batch_size} images" if trained.step else "unknown",
        "weights": f"{weights:,}, {precision}" + (f"; {difference(cost)}" if cost else ""),
        "SHA-256": f"`{sha256}`",
    }
    rows = "\n".join(f"| {name} | {fact} |" for name, fact in facts.items())
    return f"""# {path.stem}

```
python inpaint.py {INPAINTS[kind]} --model {path.name} \\
    --images folder:broken --holes holes/ --output completed
```

| | |
|---|---|
{rows}

`ce_jax.load("{path.name}").config` is the whole experiment.
"""
