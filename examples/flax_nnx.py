"""A grjax loss in a training loop of Flax NNX and optax: digits with 40% symmetric label noise.

  pip install -e . && python examples/flax_nnx.py

It printed, in 8 s with start-up on two AMD EPYC cores (jax 0.10.2, Flax NNX 0.12.8):

  cross_entropy: test accuracy 0.847
  gradient_rescaling: test accuracy 0.969
"""

from grjax import host

host.tune()  # before jax is imported

import numpy as np
import optax
from flax import nnx
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from grjax import losses, noise

EPOCHS, BATCH_SIZE = 60, 128


class MLP(nnx.Module):
    """64 pixels, a hidden layer, 10 logits."""

    def __init__(self, rngs: nnx.Rngs):
        self.hidden = nnx.Linear(64, 256, rngs=rngs)
        self.logits = nnx.Linear(256, 10, rngs=rngs)

    def __call__(self, images):
        return self.logits(nnx.relu(self.hidden(images)))


def train(loss: losses.Loss, images: np.ndarray, labels: np.ndarray) -> MLP:
    """A model trained with a loss (logits [B, C], labels [B]) -> [B]."""
    model = MLP(nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(3e-3), wrt=nnx.Param)

    @nnx.jit
    def step(model, optimizer, images, labels):
        gradients = nnx.grad(lambda model: loss(model(images), labels).mean())(model)
        optimizer.update(model, gradients)

    order = np.random.default_rng(0)
    for _ in range(EPOCHS):
        shuffled = order.permutation(len(images))
        for begin in range(0, len(images) - BATCH_SIZE + 1, BATCH_SIZE):
            batch = shuffled[begin : begin + BATCH_SIZE]
            step(model, optimizer, images[batch], labels[batch])
    return model


def main() -> None:
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.25, stratify=labels, random_state=0
    )
    noisy = noise.create("symmetric", rate=0.4, seed=0)(train_labels, num_classes=10)
    compared = {
        "cross_entropy": losses.create("cross_entropy"),
        "gradient_rescaling": losses.create("gradient_rescaling", lam=1.0, beta=16.0),
    }
    for name, loss in compared.items():
        model = train(loss, train_images, noisy.labels)
        accuracy = np.mean(model(test_images).argmax(-1) == test_labels)
        print(f"{name}: test accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
