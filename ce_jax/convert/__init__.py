"""Weights of PyTorch programs as models of ours, ours as theirs, and as files for other programs.

layouts        where a weight stands here and there; arrays in, arrays out
state_files    state dicts on disk
stablehlo      networks as programs, for those who have JAX alone or not even that
cards          what a model file is, in words
__main__       the command
"""
