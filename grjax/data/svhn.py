"""Street View House Numbers, cropped digits, as a TFDS data set."""

import io
from collections.abc import Mapping

import numpy as np

from grjax.data.source_builder import Arrays, SourceBuilder
from grjax.data.source_files import Distribution, Download, Layout

_TRAIN = "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8"
_TEST = "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b"


class Svhn(SourceBuilder):
    """SVHN, format 2: 73,257 training and 26,032 test images 32 x 32 of digits from house numbers.

    The digit 0 has label 0, as in other data sets; the files call it 10. The 531,131 further training images
    of extra_32x32.mat are left out. Ids are positions in the file of a split.

    Source: Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.
    """

    DISTRIBUTION = Distribution(
        layouts=(
            Layout(
                "mat",
                {"train_32x32.mat": (f"sha256:{_TRAIN}",), "test_32x32.mat": (f"sha256:{_TEST}",)},
                folders=(".", "svhn", "SVHN"),
                downloads={
                    "train_32x32.mat": Download(
                        "http://ufldl.stanford.edu/housenumbers/train_32x32.mat", _TRAIN
                    ),
                    "test_32x32.mat": Download(
                        "http://ufldl.stanford.edu/housenumbers/test_32x32.mat", _TEST
                    ),
                },
            ),
        ),
        num_examples={"train": 73_257, "test": 26_032},
    )
    IMAGE_SHAPE = (32, 32, 3)
    CLASS_NAMES = tuple("0123456789")
    HOMEPAGE = "http://ufldl.stanford.edu/housenumbers"

    def parse(self, layout: str, contents: Mapping[str, bytes]) -> dict[str, Arrays]:
        """See `SourceBuilder`."""
        import scipy.io  # only here: preparing happens once

        splits: dict[str, Arrays] = {}
        for split in ("train", "test"):
            stored = scipy.io.loadmat(io.BytesIO(contents[f"{split}_32x32.mat"]))
            labels = stored["y"].reshape(-1).astype(np.int64)
            if labels.min() < 1 or labels.max() > 10:
                raise ValueError(f"labels must be in [1, 10], are in [{labels.min()}, {labels.max()}]")
            splits[split] = {
                "image": np.ascontiguousarray(stored["X"].transpose(3, 0, 1, 2)),
                "label": labels % 10,
            }
        return splits
