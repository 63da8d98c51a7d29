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
    """Photographs as uint8 [size, size, 3]: shorter side resized, centre cut out, half mirrored.

    What a process has decoded is kept, in memory that all of them share.
    """

    def __init__(self, paths: Sequence[Path], *, size: int) -> None:
        self._paths, self._size = [str(path) for path in paths], size
        self._squares = torch.empty((len(paths), size, size, 3), dtype=torch.uint8).share_memory_()
        self._decoded = torch.zeros(len(paths), dtype=torch.bool).share_memory_()

    def forget(self) -> None:
        """Every photograph is decoded anew, in all processes."""
        self._decoded.zero_()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, index: int) -> Tensor:
        if not self._decoded[index]:
            self._squares[index] = torch.from_numpy(self._square(self._paths[index]))
            self._decoded[index] = True
        square = self._squares[index]
        return square.flip(1) if torch.rand(()) < 0.5 else square

    def _square(self, path: str) -> np.ndarray:
        with Image.open(path) as file:
            picture = file.convert("RGB")
        size, (width, height) = self._size, picture.size
        scale = size / min(width, height)
        resized = round(width * scale), round(height * scale)
        picture = picture.resize(resized, Image.Resampling.BICUBIC)
        left, top = ((side - size) // 2 for side in resized)
        return np.array(picture.crop((left, top, left + size, top + size)))


class Epochs:
    """Shuffled batches uint8 [b, size, size, 3] of a folder, read ahead by processes that stay.

    To PyTorch that is [b, 3, size, size] in channels_last memory, once its axes are named so.
    """

    def __init__(self, paths: Sequence[Path], *, size: int, batch_size: int, workers: int) -> None:
        self._folder = Folder(paths, size=size)
        self._batches = DataLoader(
            self._folder,
            batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
            persistent_workers=True,
            prefetch_factor=_AHEAD,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context="forkserver",  # JAX has threads here, which no fork survives
        )

    def first(self, device: torch.device) -> int:
        """An epoch in which everything is decoded; how many images came onto the device."""
        self._folder.forget()
        return self.later(device)

    def later(self, device: torch.device) -> int:
        """Likewise from what earlier epochs have kept."""
        count = 0
        for batch in self._batches:
            count += len(batch.to(device, non_blocking=True))
        return count
