"""Cross-entropy on MNIST by the protocol of configs/phuber_mnist.py, in plain PyTorch: a second opinion.

  python -m benchmarks.phuber_mnist_torch --dir=DIR --rate=0.4

Data and wrong labels are those of grjax's run with the same seed; all else is PyTorch's own, from the
protocol's description: layers, initial weights, order, optimiser, schedule. It prints a line after each fifth
epoch, in some five minutes of one core. `--weight_decay` and `--seed` are the protocol's unless given. Needs
torch, which `pip install grjax[torch]` brings.
"""

import argparse

import numpy as np
import torch
from grjax.configs.phuber_mnist import get_config
from torch import nn

from grjax.config import resolve
from grjax.corruption import corrupted_data
from grjax.errors import exit_in_one_line

BATCH, EPOCHS = 32, 20
MEAN, STD = 0.1307, 0.3081  # of the pixels of MNIST's training images


def lenet() -> nn.Module:
    """LeNet-5 with tanh, Xavier-uniform kernels and PyTorch's own biases."""
    layers = [
        *(nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2)),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10)),
    ]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
    return nn.Sequential(*layers)


def standardised(images: np.ndarray) -> torch.Tensor:
    """uint8 [N, 28, 28, 1] -> float32 [N, 1, 28, 28]."""
    return (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - MEAN) / STD


@torch.no_grad()
def accuracy(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """In %."""
    predicted = torch.cat([network(batch).argmax(1) for batch in images.split(1_000)])
    return 100 * (predicted == labels).double().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--dir", required=True, help="of the four files of MNIST")
    parser.add_argument("--rate", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weight_decay", type=float, default=1e-3)
    flags = parser.parse_args()
    card = get_config(f"loss=cross_entropy,rate={flags.rate},seed={flags.seed}")
    dataset, noisy = corrupted_data(resolve(card, {"data": {"dir": flags.dir}}))
    images, test_images = (
        standardised(np.asarray(dataset.splits[split].images)) for split in ("train", "test")
    )
    labels = torch.from_numpy(noisy.labels).long()
    test_labels = torch.from_numpy(dataset.splits["test"].labels).long()

    torch.set_num_threads(1)
    torch.manual_seed(flags.seed)
    network = lenet()
    adam = torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=flags.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: 0.1 ** (step / 10_000))
    for epoch in range(1, EPOCHS + 1):
        for batch in torch.randperm(len(images)).split(BATCH):
            adam.zero_grad()
            nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
            adam.step()
            schedule.step()
        if epoch % 5 == 0:
            test, given = accuracy(network, test_images, test_labels), accuracy(network, images, labels)
            print(f"epoch {epoch}: test {test:.2f}%, given labels {given:.2f}%", flush=True)


if __name__ == "__main__":
    with exit_in_one_line():
        main()
