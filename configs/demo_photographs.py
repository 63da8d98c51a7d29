"""The demo's context encoder: learns in two minutes to fill holes in photographs (Pathak et al.).

It trains on tiles of eleven photographs that come with scikit-image and scikit-learn; four others
(an astronaut, a brick wall, a cameraman, a cat) are kept for `configs/demo_photographs_inpaint.py`.

    python train.py configs/demo_photographs.py --workdir runs/demo-train/photographs
"""

from ce_jax.config import Adam, ContextEncoder, Data, Frame, Training


def get_config() -> Training:
    """Small enough for two CPU cores and a few minutes."""
    return Training(
        model=ContextEncoder(width=32, bottleneck=512, predicts="image", holes=("block:24",)),
        data=Data(
            source="bundled:tiles[54:]", frame=Frame(size=64, shorter_side=80), crop="random"
        ),
        generator=Adam(rate=1e-3, schedule="cosine"),
        average=0.99,
        steps=600,
        batch_size=32,
        picture_every=100,
        checkpoint_every=200,
    )
