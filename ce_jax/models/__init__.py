"""The networks: pure flax.linen modules, images in [-1, 1], NHWC."""
