"""A recorder trains the model that it shares layers with, and knows the loss of each image."""

from typing import Any

import numpy as np
import pytest

from fashion_mnist.training import losses


@pytest.mark.parametrize(("sparse", "smoothing"), [(False, 0.0), (True, 0.0), (False, 0.2)])
def test_losses_of_each_image(keras: Any, sparse: bool, smoothing: float) -> None:
    from fashion_mnist.training.per_image_loss import LossRecorder

    generator = np.random.default_rng(0)
    images = generator.random((70, 28, 28, 1), np.float32)
    classes = generator.integers(0, 10, 70)
    labels = classes if sparse else np.eye(10, dtype=np.float32)[classes]
    layers = [keras.Input((28, 28, 1)), keras.layers.Flatten()]
    model = keras.Sequential([*layers, keras.layers.Dense(10, activation="softmax")])
    weights = model.get_weights()
    logs = np.log(model.predict(images, verbose=0))
    # A smoothed label gives each class a tenth of the share.
    expected = -(1 - smoothing) * logs[np.arange(70), classes] - smoothing * logs.mean(axis=1)

    recorder = LossRecorder(model, 70)
    loss: losses.Loss = "categorical_crossentropy"
    if sparse:
        loss = "sparse_categorical_crossentropy"
    recorder.compile(keras.optimizers.SGD(0.0), losses.smoothed(loss, smoothing))
    for _ in range(2):
        recorder.begin()
        assert len(recorder.recorded()) == 0
        # Neither sample weights nor validation images change what is recorded.
        recorder.fit(
            images,
            labels,
            sample_weight=np.full(70, 3.0),
            validation_data=(images[:9], labels[:9]),
            batch_size=32,
            shuffle=False,
            verbose=0,
        )
        assert np.allclose(recorder.recorded(), expected, atol=1e-5)

    recorder.compile(keras.optimizers.SGD(0.1), losses.smoothed(loss, smoothing))
    recorder.begin()
    recorder.fit(images, labels, batch_size=32, verbose=0)
    assert not np.allclose(model.get_weights()[0], weights[0])
    assert model.count_params() == 7850
