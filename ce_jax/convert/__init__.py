"""Weights of PyTorch programs as models of ours, ours as theirs, and as files for other programs.

layouts        where a weight stands here and there; arrays in, arrays out
state_files    state dicts on disk
stablehlo      networks as programs, for those who have JAX alone or not even that
cards          what a model file is, in words
__main__       the command
"""


class ConvertError(ValueError):
    """What cannot be brought here or taken elsewhere; the message says which, why and what to do.

    A state dict that is none, weights that fit no layout, or a library that is missing.
    """
