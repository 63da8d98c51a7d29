"""The opponent's input: a folder of photographs through PyTorch's DataLoader.

Its processes import this module alone, and therefore nothing of JAX.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

_AHEAD = 4


class Folder(Dataset):
    """Photographs as uint8 [size, size, 3]: shorter side resized, centre cut out, half mirrored."""

    def __init__(self, paths: Sequence[Path], *, size: int) -> None:
        self._paths, self._size = [str(path) for path in paths], size

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:
        with Image.open(self._paths[index]) as file:
            picture = file.convert("RGB")
        size, (width, height) = self._size, picture.size
        scale = size / min(width, height)
        resized = round(width * scale), round(height * scale)
        picture = picture.resize(resized, Image.Resampling.BICUBIC)
        left, top = ((side - size) // 2 for side in resized)
        picture = picture.crop((left, top, left + size, top + size))
        if torch.rand(()) < 0.5:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(picture))


def loader(paths: Sequence[Path], *, size: int, batch_size: int, workers: int) -> DataLoader:
    """Shuffled batches uint8 [b, size, size, 3], decoded ahead by processes that stay.

    To PyTorch that is [b, 3, size, size] in channels_last memory, once its axes are named so.
    """
    return DataLoader(
        Folder(paths, size=size),
        batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=True,
        prefetch_factor=_AHEAD,
        pin_memory=torch.cuda.is_available(),
        multiprocessing_context="forkserver",  # JAX has threads here, which do not survive a fork
    )


def epoch(batches: DataLoader, device: torch.device) -> int:
    """Brings every batch of an epoch onto the device; how many images these were."""
    count = 0
    for batch in batches:
        count += len(batch.to(device, non_blocking=True))
    return count
