"""The opponent: the same networks, training steps and search in PyTorch, written to be fast.

Images come in as [b, h, w, 3]. To PyTorch that is [b, 3, h, w] in channels_last memory, the faster
of its two layouts here, so that nothing is copied to get from one to the other.
"""

import torch


def device() -> torch.device:
    """The GPU if there is one, else the CPU; set up for speed."""
    if not torch.cuda.is_available():
        from torch._inductor import config  # which the processes of a loader do not need

        config.freezing = True  # where nothing learns, compiled programs pack their weights
        return torch.device("cpu")
    torch.set_float32_matmul_precision("high")  # TF32; and the convolutions:
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True  # all shapes are static
    return torch.device("cuda")


def wait() -> None:
    """Returns when the device has done what it was asked."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
