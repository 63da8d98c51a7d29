"""A context encoder that you have trained, at four times its size (Yang et al. 2016).

The context encoder completes a small version of each photograph, 64 pixels of 256 or 128 of 512;
then the hole is refined at 64, 128 and 256 pixels (128, 256, 512), so that it keeps near the scale
before (content), its neural patches come nearer to the known ones that each is most like (texture),
and it is smooth (total variation). `--frame.size` takes other doublings of the model's size.

    python inpaint.py configs/high_resolution.py --model runs/ce --images folder:facades/valid \\
        --holes center --output runs/refined-center

As in the authors' code: three scales of 100 steps, L-BFGS without a line search, patches of 3x3 at
stride 2, matched once at the start of each scale by normalised cross-correlation, features at two
resolutions, bilinear enlargement. That code has weights of 20 for content, 1e-4 for texture and
1e-4 for variation, for a mean and two sums over the features and pixels of Caffe; the paper takes
its content in pixels. Here everything is a mean, over what is missing alone, pixels lie in [-1, 1]
and features have mean square 1, so that weights mean the same at every size and for any features:
1 each. Less content brings more texture, and the grid of the features with it; variation smooths.

The features are those of the model's own first two layers. The published ones are relu3_1 and
relu4_1 of VGG19, which come from a file that you have: `--refine.features vgg19.safetensors`. Two
layouts are read, up to conv4_1, each with the pixels that it was trained on:

    torchvision (RGB, mean and deviation of ImageNet):
        weights = torchvision.models.vgg19(weights="IMAGENET1K_V1").state_dict()
        safetensors.torch.save_file(weights, "vgg19.safetensors")
    Caffe (BGR, its mean; conv1_1.weight is [3, 3, 3, 64]), for instance out of Keras:
        layers = [one for one in keras.applications.VGG19().layers if "_conv" in one.name]
        np.savez("vgg19.npz", **{
            f"conv{one.name[5]}_{one.name[-1]}.{part}": array
            for one in layers for part, array in zip(("weight", "bias"), one.get_weights())
        })
"""

from ce_jax.config import Inpainting


def get_config() -> Inpainting:
    """Large images in small batches: the search remembers several of each."""
    return Inpainting(model="runs/ce", method="high-resolution", batch_size=8)
