"""An experiment comes back from its record as it was, and what does not fit is named."""

import dataclasses
import json

import pytest

from ce_jax import config
from ce_jax.config import (
    Adam,
    ContextEncoder,
    Data,
    Dcgan,
    Frame,
    Inpainting,
    L2Gan,
    Training,
    Vae,
)

EXPERIMENTS = [
    Training(
        model=Dcgan(width=12, latent=7),
        data=Data(source="npz:a", frame=Frame(size=32, box=(1, 2, 3, 4), shorter_side=40)),
        critic=Adam(rate=1e-5, schedule="cosine"),
        average=0.5,
        seed=3,
    ),
    Training(
        model=ContextEncoder(predicts="image", holes=("center", "random:0.8"), overlap=2),
        data=Data(crop="random", flip=False, threads=3, cache=0.5),
        steps=7,
    ),
    Training(
        model=Dcgan(prior="normal", kernel=5, head="softmax", generator_steps=2),
        generator=Adam(l2=1e-5),
    ),
    Training(model=Vae(kernel=5, beta=2.0, scale=0.1, learn_scale=False)),
    Training(
        model=L2Gan(corner="bottom-right", fill=(1, 2, 3), recovery_steps=5),
        data=Data(frame=Frame(size=175)),
        steps=6,
    ),
]


@pytest.mark.parametrize(
    "experiment", EXPERIMENTS, ids=lambda experiment: type(experiment.model).__name__
)
def test_a_training_survives_being_written_down(experiment):
    written = json.dumps(config.to_dict(experiment))
    assert config.training_from_dict(json.loads(written)) == experiment


def test_an_inpainting_can_be_written_down():
    experiment = Inpainting(method="laplace", frame=Frame(box=(0, 0, 9, 9)))
    written = json.loads(json.dumps(config.to_dict(experiment)))
    assert written["method"] == "laplace"
    assert written["frame"]["box"] == [0, 0, 9, 9]
    assert written.keys() == {field.name for field in dataclasses.fields(Inpainting)}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda plain: plain.pop("model"), "model"),
        (lambda plain: plain["model"].update(kind="Gan"), "Gan"),
        (lambda plain: plain["model"].update(depth=3), "depth"),
        (lambda plain: plain["data"].update(rotate=True), "rotate"),
        (lambda plain: plain.update(colour=1), "colour"),
        (lambda plain: plain.pop("generator"), "generator"),
        (lambda plain: plain["data"]["frame"].update(size=48), "frame.size"),
    ],
)
def test_a_record_of_another_version_is_refused_by_the_name_of_what_does_not_fit(change, named):
    plain = json.loads(json.dumps(config.to_dict(EXPERIMENTS[1])))
    change(plain)
    with pytest.raises(config.ConfigError, match=named):
        config.training_from_dict(plain)
