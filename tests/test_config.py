"""An experiment refuses what makes no sense, in the words of its field, and is a value."""

import dataclasses
import subprocess
import sys

import pytest
import tiny

from ce_jax import config
from ce_jax.config import (
    Adam,
    Beyond,
    ContextEncoder,
    Data,
    Dcgan,
    Frame,
    HighResolution,
    Inpainting,
    L2Gan,
    LatentEncoder,
    LatentSearch,
    LowRank,
    Neighbours,
    OpenCv,
    PatchMatch,
    Perceptual,
    Sharding,
    TotalVariation,
    Training,
    Vae,
)


def training(**fields):
    return Training(model=Dcgan(), **fields)


def alexnet(**fields):
    fitting = {"encoder": "alexnet", "width": 96, "bottleneck": "channel-wise", "adversarial": 0.0}
    return ContextEncoder(**(fitting | fields))


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (
            lambda: Frame(size=48),
            "frame.size must be one of 32, 64, 128, 227, 88, 175, 350, 256, 512, got 48",
        ),
        (lambda: Frame(box=(9, 0, 9, 5)), r"frame.box must be left, top, right, bottom .*\(9, 0"),
        (lambda: Frame(box=(-1, 0, 9, 5)), "frame.box"),
        (lambda: Frame(size=64, shorter_side=63), r"frame.shorter_side must be at least .*\(64\)"),
        (lambda: Data(threads=0), "data.threads must be at least 1, got 0"),
        (lambda: Data(cache=-1.0), "data.cache must be at least 0, got -1.0"),
        (lambda: Dcgan(width=0), "model.width must be at least 1, got 0"),
        (lambda: Dcgan(latent=0), "model.latent"),
        (lambda: Dcgan(width=None), "model.width must be at least 1, got None"),
        (lambda: Dcgan(prior=None), "model.prior must be uniform or normal, got None"),
        (lambda: training(seed=None), r"seed must be in \[0, 2\*\*32\).*, got None"),
        (lambda: ContextEncoder(fill=(1, 2)), "model.fill must be three numbers .*, got .1, 2"),
        (lambda: L2Gan(fill=(1, 2, 256)), "model.fill must be three numbers from 0 to 255, got"),
        (lambda: Dcgan(prior="gauss"), "model.prior must be uniform or normal, got 'gauss'"),
        (lambda: Dcgan(kernel=3), "model.kernel must be 4 or 5, got 3"),
        (lambda: Dcgan(head="hinge"), "model.head must be logit or softmax"),
        (lambda: Dcgan(generator_steps=0), "model.generator_steps must be at least 1"),
        (
            lambda: Dcgan(augmentation=("crop",)),
            r"model.augmentation must be of colour, .* \('crop',\)",
        ),
        (lambda: LatentSearch(schedule="cosine", decay=0.5), "latent.decay must be 1 with"),
        (lambda: LatentSearch(steps=30, patience=30), "latent.patience must be less than"),
        (lambda: LatentSearch(start="pool", starts=600), "latent.starts must be at most 512"),
        (lambda: LatentSearch(start="encoder", starts=2), "latent.starts must be 1 for"),
        (lambda: LatentSearch(pool=100), "latent.pool must be at least 512"),
        (lambda: LatentSearch(prior_every=0), "latent.prior_every"),
        (lambda: LatentSearch(trail=3, patience=9), "latent.trail must be 0 with"),
        (lambda: Inpainting(output="gs://bucket/completed"), "output must be a folder on a disk"),
        (lambda: Beyond(steps=-1), "latent.beyond.steps"),
        (lambda: Beyond(depth=4), "latent.beyond.depth"),
        (lambda: LatentEncoder(photographs=1.5), "model.photographs"),
        (lambda: LatentEncoder(holes=()), "model.holes"),
        (lambda: Vae(width=0), "model.width"),
        (lambda: Vae(latent=0), "model.latent"),
        (lambda: Vae(kernel=6), "model.kernel"),
        (lambda: Vae(beta=-1.0), "model.beta must be at least 0"),
        (lambda: Vae(scale=0.0), "model.scale must be positive"),
        *(
            (lambda m=m: Training(model=m(), critic=Adam(rate=1e-3)), "critic must be left .* has")
            for m in (Vae, LatentEncoder)
        ),
        (lambda: Sharding(mode="xmap"), "sharding.mode must be jit or pmap, got 'xmap'"),
        (lambda: training(precision="float16"), "precision must be float32 or bfloat16"),
        (lambda: training(microbatches=0), "microbatches must be at least 1, got 0"),
        (
            lambda: training(batch_size=50, microbatches=8),
            r"batch_size must be a multiple of microbatches \(8\), as 48 or 56, got 50",
        ),
        (lambda: ContextEncoder(width=0), "model.width"),
        (lambda: ContextEncoder(bottleneck=0), "model.bottleneck"),
        (lambda: ContextEncoder(predicts="image", holes=()), "model.holes"),
        (lambda: ContextEncoder(holes=("block",)), "model.holes .* set model.predicts to image"),
        (lambda: ContextEncoder(overlap=-1), "model.overlap"),
        (lambda: ContextEncoder(overlap_weight=0.0), "model.overlap_weight must be positive"),
        (lambda: ContextEncoder(skips=True), "model.skips must be False for .* the centre"),
        (
            lambda: alexnet(predicts="image", skips=True),
            "model.skips must be False .* alexnet, got",
        ),
        (lambda: ContextEncoder(residual=True), "model.residual must be False for .* the centre"),
        (
            lambda: alexnet(predicts="image", residual=True),
            "model.residual must be False .* alexnet, got",
        ),
        (lambda: ContextEncoder(error="l1"), "model.error must be square or logarithm, got 'l1'"),
        (lambda: ContextEncoder(adversarial=1.1), r"model.adversarial must be in \[0, 1\]"),
        (lambda: ContextEncoder(encoder="vgg"), "model.encoder must be convolutions or alexnet"),
        (
            lambda: alexnet(width=64),
            "model.width must be a multiple of 6 for model.encoder alexnet",
        ),
        (lambda: alexnet(convolutions=5), "model.convolutions must be None .* got 5"),
        (lambda: alexnet(bottleneck=4000), "model.bottleneck must be channel-wise .* got 4000"),
        (lambda: alexnet(adversarial=0.001), "model.adversarial must be 0 .* got 0.001"),
        (
            lambda: Training(model=alexnet()),
            "data.frame.size must be one of 227 for this ContextEncoder, got 64",
        ),
        (
            lambda: training(data=Data(frame=Frame(size=227))),
            "data.frame.size must be one of 32, 64, 128 for this Dcgan, got 227",
        ),
        (
            lambda: Training(model=ContextEncoder(), data=Data(frame=Frame(size=227))),
            "data.frame.size must be .* got 227",
        ),
        (
            lambda: tiny.self_tuned(batch_size=2),
            "batch_size must be at least the 3 kinds of model.holes",
        ),
        (
            lambda: tiny.self_tuned(convolutions=6),
            "model.convolutions must be few enough to halve 32 pixels",
        ),
        (
            lambda: tiny.self_tuned(bottleneck=0),
            "model.bottleneck must be at least 1, or channel-wise",
        ),
        (
            lambda: tiny.self_tuned(fill=(0, 0, 256)),
            "model.fill must be three numbers from 0 to 255",
        ),
        (
            lambda: tiny.self_tuned(predicts="center", holes=("center",)),
            "model.sharing must be chance",
        ),
        (lambda: L2Gan(corner="middle"), "model.corner must be top-left or .* got 'middle'"),
        (lambda: L2Gan(recovery_steps=0), "model.recovery_steps must be at least 1, got 0"),
        (lambda: L2Gan(width=0), "model.width must be at least 1"),
        (lambda: L2Gan(bottleneck=0), "model.bottleneck must be at least 1"),
        (lambda: L2Gan(adversarial=0.0), r"model.adversarial must be in \(0, 1\], got 0.0"),
        (
            lambda: tiny.l2_gan(recovery_steps=4),
            r"model.recovery_steps must be less than steps \(4\)",
        ),
        (
            lambda: Training(model=L2Gan(), data=Data(frame=Frame(size=64))),
            "data.frame.size must be one of 88, 175, 350 for this L2Gan, got 64",
        ),
        (
            lambda: Training(model=ContextEncoder(), data=Data(frame=Frame(size=350))),
            "data.frame.size must be one of 32, 64, 128 for this ContextEncoder, got 350",
        ),
        (lambda: Adam(rate=0.0), "rate must be positive"),
        (lambda: Adam(rate=float("nan")), "rate must be positive"),
        (lambda: Adam(schedule="linear"), "schedule must be constant or cosine, got 'linear'"),
        (lambda: Adam(beta1=1.0), "beta1"),
        (lambda: Adam(l2=-1e-5), "l2 must be at least 0"),
        (lambda: Adam(beta2=-0.1), "beta2"),
        (lambda: training(average=1.0), r"average must be in \[0, 1\)"),
        (lambda: training(steps=0), "steps must be at least 1"),
        (lambda: training(batch_size=0), "batch_size"),
        (lambda: training(log_every=0), "log_every"),
        (lambda: training(picture_every=0), "picture_every"),
        (lambda: training(checkpoint_every=0), "checkpoint_every"),
        (lambda: training(seed=-1), r"seed must be in \[0, 2\*\*32\).* got -1"),
        (lambda: training(seed=2**32), "seed"),
        (
            lambda: Training(model=ContextEncoder(overlap=8), data=Data(frame=Frame(size=32))),
            "model.overlap must be at most 7 for 32-pixel images",
        ),
        (lambda: LatentSearch(optimizer="sgd"), "latent.optimizer must be adam or nesterov"),
        (lambda: LatentSearch(steps=0), "latent.steps"),
        (lambda: LatentSearch(rate=-1.0), "latent.rate"),
        (lambda: LatentSearch(window=6), "latent.window must be odd and positive, got 6"),
        (lambda: LatentSearch(window=-1), "latent.window"),
        (lambda: LatentSearch(prior=-0.1), "latent.prior"),
        (lambda: LatentSearch(momentum=1.0), r"latent.momentum must be in \[0, 1\)"),
        (lambda: LatentSearch(decay=0.0), r"latent.decay must be in \(0, 1\]"),
        (lambda: LatentSearch(decay_every=0), "latent.decay_every"),
        (lambda: LatentSearch(starts=0), "latent.starts"),
        (lambda: LatentSearch(choose="held-out"), "latent.choose must be objective .* one start"),
        (lambda: LatentSearch(held_out=1.0), r"latent.held_out must be in \(0, 1\)"),
        (lambda: LatentSearch(trail=1), r"latent.trail must be 0, or .* latent.steps \+ 1 \(1501"),
        (lambda: LatentSearch(steps=3, trail=5), "latent.trail"),
        (lambda: HighResolution(steps=0), "refine.steps must be at least 1"),
        (lambda: HighResolution(features="vgg.pth"), "refine.features must be encoder, or a .safe"),
        (lambda: Perceptual(lpips="a.pth"), "perceptual.lpips must be a .safetensors or .npz file"),
        (lambda: Perceptual(inception="a.pt"), "perceptual.inception must be .* got 'a.pt'"),
        (lambda: HighResolution(patch=0), "refine.patch"),
        (lambda: HighResolution(stride=4), r"refine.stride must be from 1 to refine.patch \(3\)"),
        (lambda: HighResolution(content=-1.0), "refine.content"),
        (lambda: HighResolution(texture=-1.0), "refine.texture"),
        (lambda: HighResolution(variation=-1.0), "refine.variation must be at least 0"),
        (
            lambda: Training(model=Dcgan(), data=Data(frame=Frame(size=256))),
            "data.frame.size must be .* got 256",
        ),
        (lambda: TotalVariation(rho=0.0), "tv.rho must be positive, got 0.0"),
        (lambda: TotalVariation(steps=0), "tv.steps"),
        (lambda: TotalVariation(tolerance=-1.0), "tv.tolerance"),
        (lambda: LowRank(algorithm="svt"), "low_rank.algorithm must be tnnr or irnn"),
        (lambda: LowRank(steps=0), "low_rank.steps"),
        (lambda: LowRank(rank=-1), "low_rank.rank must be at least 0, got -1"),
        (lambda: LowRank(rho=0.0), "low_rank.rho"),
        (lambda: LowRank(tolerance=-1.0), "low_rank.tolerance"),
        (lambda: LowRank(p=0.0), r"low_rank.p must be in \(0, 1\]"),
        (lambda: Neighbours(count=0), "neighbours.count"),
        (lambda: Neighbours(power=-1.0), "neighbours.power"),
        (lambda: OpenCv(radius=0.0), "opencv.radius must be positive"),
        (lambda: PatchMatch(radius=0), "patchmatch.radius must be at least 1, got 0"),
        (lambda: Inpainting(model="a", candidates=0), "candidates must be from 1 to latent.starts"),
        (
            lambda: Inpainting(model="a", latent=LatentSearch(starts=3), candidates=4),
            r"candidates must be from 1 to latent.starts \(3\), got 4",
        ),
        (
            lambda: Inpainting(method="laplace", latent=LatentSearch(starts=3), candidates=2),
            "candidates must be 1 for laplace, got 2",
        ),
        (lambda: Inpainting(), r"model must be the work directory .*\(--model DIR\)"),
        (lambda: Inpainting(model="runs/a", batch_size=0), "batch_size"),
        (lambda: Inpainting(model="runs/a", report_rows=-1), "report_rows"),
        (lambda: Inpainting(model="runs/a", seed=-1), "seed"),
    ],
)
def test_a_senseless_value_is_refused_with_field_rule_and_value(build, complaint):
    with pytest.raises(config.ConfigError, match=complaint) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_the_limits_themselves_are_allowed():
    Frame(size=64, shorter_side=64, box=(0, 0, 1, 1))
    ContextEncoder(overlap=0, adversarial=0.0)
    ContextEncoder(adversarial=1.0)
    Vae(beta=0.0)
    Training(
        model=alexnet(encoder="alexnet-pool-free", width=6, overlap=56),
        data=Data(frame=Frame(size=227)),
    )
    Training(model=ContextEncoder(overlap=7), data=Data(frame=Frame(size=32)), seed=2**32 - 1)
    Inpainting(method="laplace")
    Inpainting(method="tv")
    LowRank(rank=0, p=1.0, tolerance=0.0)
    LatentSearch(window=1, prior=0.0, momentum=0.0, decay=1.0, decay_every=1)
    search = LatentSearch(starts=2, choose="held-out", steps=3, trail=4)
    Inpainting(model="runs/a", latent=search, candidates=2)


def test_experiments_are_values():
    first, second = (training(seed=1), training(seed=1))
    assert first == second != training(seed=2)
    assert len({first, second}) == 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.seed = 2  # type: ignore[misc]


def test_an_experiment_is_read_without_jax():
    code = "import sys, ce_jax.config; print({'jax', 'numpy'} & sys.modules.keys())"
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert process.stdout.strip() == "set()"
