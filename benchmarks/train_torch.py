"""The contender of `benchmarks.train` that is plain PyTorch: a network, a DataLoader, a loop."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from grjax import host

host.tune(restart=True)  # malloc, as the environment says

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from benchmarks.rounds import Facts, serve

PADDING = 4


class Block(nn.Module):
    """Two 3 x 3 convolutions; where the shape changes, the shortcut is subsampled and padded with zeros."""

    def __init__(self, before: int, channels: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.stride, self.missing = stride, channels - before

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, before, H, W] -> [B, channels, H / stride, W / stride]."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.missing:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, *[self.missing // 2] * 2))
        return F.relu(x + y)


class Classifier(nn.Module):
    """The mean over the pixels, and logits."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc = nn.Linear(channels, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, channels, H, W] -> [B, 10]."""
        return self.fc(x.mean((2, 3)))


def resnet(depth: int) -> nn.Module:
    """The ResNets of He et al. for CIFAR, shortcut A: `grjax.models.CifarResNet`."""
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    before = 16
    for stage in range(3):
        for index in range(depth // 6):
            layers.append(Block(before, 16 * 2**stage, 2 if stage and not index else 1))
            before = 16 * 2**stage
    return nn.Sequential(*layers, Classifier(before))


def plain(stages: list[list[int]], hidden: int, channels: int, pixels: int, bias: bool) -> nn.Module:
    """Convolutions with batch norm, each stage halved, then dense: `grjax.models.PlainCNN` and `CNN`."""
    layers: list[nn.Module] = []
    for stage in stages:
        for width in stage:
            layers += [nn.Conv2d(channels, width, 3, 1, 1, bias=bias), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    dense = nn.Linear(channels * pixels, hidden, bias=bias)
    return nn.Sequential(
        *layers, nn.Flatten(), dense, nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 10)
    )


def network(name: str) -> nn.Module:
    """The counterpart of a model of grjax."""
    if name == "cnn":
        return plain([[32, 32], [64, 64]], 128, 1, 4, bias=False)
    if name == "cnn8":
        return plain([[64, 64], [128, 128], [196, 196]], 256, 3, 16, bias=True)
    return resnet(int(name.removeprefix("resnet")))


class Augmented(torch.utils.data.Dataset):
    """Images padded, cropped and mirrored at random if asked, of mean 0 and standard deviation 1."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, augment: bool):
        mean, std = images.mean((0, 1, 2)), images.std((0, 1, 2))
        self._images = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        self._labels = labels.tolist()
        self._mean, self._std = (
            torch.from_numpy(each.astype(np.float32))[:, None, None] for each in (mean, std)
        )
        self._augment = augment

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Any:
        image = self._images[index]
        if self._augment:
            height, width = image.shape[1:]
            top, left, mirrored = torch.randint(0, 2 * PADDING + 1, (3,)).tolist()
            image = F.pad(image, (PADDING,) * 4)[:, top : top + height, left : left + width]
            image = image.flip(2) if mirrored % 2 else image
        return (image.float() - self._mean) / self._std, self._labels[index]

    def batches(self, batch_size: int) -> Iterator[Any]:
        """Whole batches indexed at once, without a loader; not augmented."""
        images, labels = (self._images.float() - self._mean) / self._std, torch.tensor(self._labels)
        while True:
            for positions in torch.randperm(len(self)).split(batch_size)[: len(self) // batch_size]:
                yield images[positions], labels[positions]


def contend(spec: Facts) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    with np.load(spec["data"]) as stored:
        dataset = Augmented(stored["images"], stored["labels"], bool(spec["augmentation"]))
    workers = os.cpu_count() or 1 if spec["loader"] else 0

    def endless() -> Iterator[Any]:
        if not spec["loader"]:
            yield from dataset.batches(spec["batch_size"])
        loader = torch.utils.data.DataLoader(
            dataset, spec["batch_size"], shuffle=True, drop_last=True, num_workers=workers,
            persistent_workers=True, pin_memory=device == "cuda",
        )  # fmt: skip
        while True:
            yield from loader

    model: Any = network(spec["model"])
    model = model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    model = torch.compile(model) if spec["compile"] else model
    batches = endless()
    autocast: Any = torch.autocast(device, torch.bfloat16) if spec["bfloat16"] else contextlib.nullcontext()
    pending: list[torch.Tensor] = []

    def step() -> None:
        images, labels = next(batches)
        images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
        labels = labels.to(device, non_blocking=True)
        with autocast:
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        accuracy = (logits.argmax(1) == labels).float().mean()
        pending.append(torch.stack([loss.detach().float(), accuracy]))
        if len(pending) > 1:
            pending.pop(0).tolist()  # as late as grjax looks at it

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    def at_end() -> Facts:
        peak = torch.cuda.max_memory_allocated() / 2**20 if device == "cuda" else None
        return {"device_megabytes": peak}

    before = time.perf_counter()
    step()
    wait()
    serve(
        step,
        wait,
        {"first_call_seconds": time.perf_counter() - before, "steps_per_call": 1, "torch": torch.__version__},
        at_end,
    )


if __name__ == "__main__":
    contend(json.loads(sys.argv[1]))
