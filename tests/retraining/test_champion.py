"""The current model is asked about deliveries of any size, channels and number of classes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fashion_mnist.dataset import Dataset
from retraining import champion


@pytest.mark.slow
@pytest.mark.parametrize(("channels", "classes"), [(1, 2), (3, 300)])
def test_the_opinion_is_that_of_the_saved_model(
    channels: int, classes: int, tmp_path: Path, keras: Any
) -> None:
    from fashion_mnist import model_file, models

    names = {str(label): str(label) for label in range(classes)}
    data = Dataset(height=24, width=16, channels=channels, classes=names)
    model = models.build("dense", None, data.shape, classes)
    model_file.save(model, tmp_path / "data/model/model.keras")
    (tmp_path / "metrics").mkdir()
    scale = {"scale": {"offset": 100.0, "divisor": 50.0}}
    (tmp_path / "metrics/preprocess.json").write_text(json.dumps(scale))

    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (90, *data.image_shape), np.uint8)
    inputs = (images.reshape(-1, *data.shape).astype(np.float32) - 100) / 50
    answers = np.asarray(model(inputs))
    labels = answers.argmax(axis=1).astype(data.label_type)
    labels[:30] = (labels[:30] + 1) % classes
    opinion = champion.ask(tmp_path, images, labels, data, mirror_average=False)
    assert opinion.agreement == pytest.approx(60 / 90)
    assert opinion.confidence == pytest.approx(answers.max(axis=1).mean(), rel=1e-5)
    (line,) = champion.objections(opinion, 0.7)
    assert line == "the current model agrees with 66.7% of the labels, expected at least 70.0%"
