"""A training run on disk: whose it is, what it keeps, what it says; networks, wherever they are."""
