"""Image inpainting on accelerators: context encoders and latent search, in JAX.

Everywhere in this package `images` are float32 in [-1, 1], [b, h, w, 3], and a `hole` is bool
[b, h, w, 1], True where pixels are missing. A module imports only what this list names before it:

    config                                   what an experiment is
    files                                    what writes a file whole or not at all
    irregular                                shapes of holes
    images holes losses metrics blending     the domain, in pure functions
    distributions                            how alike two sets of images are
    trails                                   the way of a search
    models state systems                     networks, what they have learned, how they learn
    sharding                                 the devices
    hole_sets                                holes that are the same for everybody
    sources data hole_files pairing          images and holes into batches
    checkpointing feature_files              what a run keeps; networks of others from files
    completion                               every way to fill a hole
    perceptual                               completions as other networks see them
    finishing                                blended on the host, measured, described
    logbook report manifest results          what is written for people
    training batch                           the two loops
    table_files tables                       many inpaintings, side by side
    commands                                 what train.py and inpaint.py share
"""
