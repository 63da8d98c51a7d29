"""Table 1 of Yeh et al. 2017, with the methods that it names and those that users ask for.

Rows: the context encoder of Pathak et al., latent search, retrieval by pixels and in the features
of that encoder, and what needs no training: total variation, low rank, PatchMatch, and the fills of
scikit-image and OpenCV. Columns: centre, random pattern, random 80 % and half; faces (CelebA),
house numbers (SVHN) and cars (Stanford), all at 64x64.

    python inpaint.py configs/table_yeh2017.py --data DATA --models RUNS --output runs/table

DATA holds celeba/, svhn/ and cars/ with train and valid (or test) parts. RUNS holds the work
directories dcgan-celeba, encoder-celeba, dcgan-svhn and so on, of configs/dcgan_celeba64.py and
configs/context_encoder_celeba64.py with another --data.source and --data.frame.box.

A cell whose network or library is missing says so, and the others go on: to begin with, --only-data
CelebA or --only-methods laplace tv. Of the images, the first 200 of each set are taken; the holes
are the named sets of docs/holes.md, so that tables made elsewhere have the same.

Latent search has 300 steps at 0.03 here and not 1500 at 0.01, for the sake of two CPU cores.
"""

from dataclasses import replace

from ce_jax.config import Entry, Frame, Inpainting, LatentSearch, Table

SOURCES = {
    "CelebA": ("folder:celeba/train", "folder:celeba/valid[:200]", (12, 25, 76, 89)),
    "SVHN": ("mat:svhn/train_32x32.mat", "mat:svhn/test_32x32.mat[:200]", None),
    "Cars": ("folder:cars/train", "folder:cars/valid[:200]", None),
}
"""What there is to choose from, what is completed, and the part of it that is cut out."""

WITHOUT_TRAINING = (
    "tv",
    "low-rank",
    "patchmatch",
    "neighbours",
    "biharmonic",
    "telea",
    "navier-stokes",
    "laplace",
)


def get_config() -> Table:
    """The lines of each data set: two networks first, retrieval, then what needs none."""
    entries = []
    for data, (train, valid, box) in SOURCES.items():
        plain = Inpainting(
            images=valid, frame=Frame(size=64, box=box), method="laplace", batch_size=40
        )
        few = LatentSearch(steps=300, rate=0.03)
        lines = {
            "context-encoder": {"model": f"encoder-{data.lower()}"},
            "latent": {"model": f"dcgan-{data.lower()}", "latent": few},
            "nearest": {"collection": train},
            "nearest, features": {
                "method": "nearest",
                "collection": train,
                "model": f"encoder-{data.lower()}",
            },
            **{method: {} for method in WITHOUT_TRAINING},
        }
        entries += [
            Entry(data=data, method=name, inpainting=replace(plain, **({"method": name} | options)))
            for name, options in lines.items()
        ]
    return Table(
        title="Table 1 of Yeh et al. 2017",
        entries=tuple(entries),
        holes=(
            "set:yeh2017-center",
            "set:yeh2017-pattern",
            "set:yeh2017-random",
            "set:yeh2017-half",
        ),
        output="runs/table-yeh2017",
    )
