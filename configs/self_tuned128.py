"""The self-tuned encoder-decoder: squares of 1 to 30 pixels anywhere, harder levels more often.

Salem et al.: six convolutions and six up-samplings of kernel 4, a channel-wise layer between them,
the square error of the whole image alone, batches of 100, and five levels of squares whose shares
of a batch follow 1 / PSNR on the validation images after every epoch. Their pseudo-code follows
1 / L2, which would give the easy levels more; their text wants the opposite, and so do we. Equal
shares throughout: --model.sharing equal.

Meant for a GPU or TPU; on two CPU cores: --model.width 16 --data.frame.size 64
--model.convolutions 5 --steps 4000.

    python train.py configs/self_tuned128.py --workdir runs/self-tuned \\
        --data.source folder:paris/train --data.validation folder:paris/valid
"""

from ce_jax.config import ContextEncoder, Data, Frame, Training


def get_config() -> Training:
    """As many steps as 500 passes over 15,000 images in batches of 100."""
    return Training(
        model=ContextEncoder(
            convolutions=6,
            bottleneck="channel-wise",
            predicts="image",
            holes=("block:1-6", "block:7-12", "block:13-18", "block:19-24", "block:25-30"),
            sharing="on-demand",
            reconstructs="image",
            overlap=0,
            adversarial=0.0,
        ),
        data=Data(
            source="folder:paris/train", validation="folder:paris/valid", frame=Frame(size=128)
        ),
        steps=75_000,
        batch_size=100,
    )
