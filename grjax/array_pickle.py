"""Reading arrays and tensors from files with a pickle in them, without torch and without running anything.

A pickle may call any function. The reader here builds containers, NumPy arrays and numbers, and torch tensors
as arrays. Whatever else a file asks for is not built: an `Unread` stands in its place, so that one entry can
be read whatever lies beside it. The reader takes what torch.save writes, a zip archive or, in the older
layout, several pickles in a row; a .npy file of objects; and a plain pickle.
"""

import codecs
import collections
import io
import os
import pickle
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import ml_dtypes
import numpy as np

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's older layout

# The storages that torch.save names; each is a run of raw little-endian numbers.
_STORAGES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


class Unread:
    """Stands for an object that is not built; it takes whatever a pickle does to it, and does nothing."""

    asks_for = ""  # as 'pandas.Series'

    def __init__(self, *_: Any, **__: Any): ...

    def __setstate__(self, state: Any) -> None: ...

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def append(self, value: Any) -> None:
        """Leaves it."""

    def extend(self, values: Any) -> None:
        """Leaves them."""


def read(path: str | os.PathLike[str]) -> Any:
    """The object in a file, with an `Unread` in the place of everything but containers, arrays and numbers.

    Args:
      path: of a .pt, .npy or .pkl file, whatever its name.

    Raises:
      pickle.UnpicklingError: the file is damaged, or is not one of these.
      OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        try:
            return _read(file)
        except (OSError, pickle.UnpicklingError):
            raise
        except Exception as error:  # a damaged pickle raises whatever the part that was hit raises
            raise pickle.UnpicklingError(f"damaged: {error}") from error


def read_dictionary(path: str | os.PathLike[str]) -> Mapping[Any, Any]:
    """The dictionary in a file: `read`, where the object is one.

    Raises:
      pickle.UnpicklingError, OSError: see `read`; or the object is no dictionary.
    """
    found = read(path)
    if isinstance(found, np.ndarray) and found.dtype != object:
        raise pickle.UnpicklingError(f"an array of {found.dtype}, not a dictionary of arrays")
    if not isinstance(found, Mapping):
        raise pickle.UnpicklingError("not a dictionary of NumPy arrays")
    return found


def as_array(value: Any) -> np.ndarray:
    """An entry of what `read` gives as an array: one already, or numbers or strings in lists.

    Raises:
      pickle.UnpicklingError: it is something else.
    """
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Unread):
        raise pickle.UnpicklingError(f"asks for {value.asks_for}, and only NumPy arrays are read")
    if isinstance(value, list | tuple):
        for each in value:
            if isinstance(each, Unread):
                as_array(each)
        try:
            array = np.asarray(value)
        except ValueError as error:  # lists of unequal length
            raise pickle.UnpicklingError(f"no array: {error}") from error
        return array.astype(np.int64) if not array.size else array
    raise pickle.UnpicklingError(f"holds a {type(value).__name__} where an array or a list should be")


def load_archive(path: str | os.PathLike[str], foreign: Callable[[str], Any]) -> Any:
    """The object in a zip archive of torch.save.

    Args:
      path: of the archive.
      foreign: of the name of what is not built, as 'pandas.Series': a class to stand for it, or it raises.

    Raises:
      pickle.UnpicklingError, KeyError, IndexError, ValueError, zipfile.BadZipFile: a damaged file.
    """
    with zipfile.ZipFile(path) as archive:
        return _load_from(archive, foreign)


def _read(file: BinaryIO) -> Any:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            return _load_from(archive, _stand_in)
    file.seek(0)
    if file.read(6) == np.lib.format.MAGIC_PREFIX:
        file.seek(0)
        version = np.lib.format.read_magic(file)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = header[version](file)
        if dtype != np.dtype(object):
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
        found = _Unpickler(file, _stand_in).load()
        return found.item() if shape == () else found
    file.seek(0)
    found = _Unpickler(file, _stand_in).load()
    return _load_legacy(file) if isinstance(found, int) and found == _TORCH_MAGIC else found


def _load_from(archive: zipfile.ZipFile, foreign: Callable[[str], Any]) -> Any:
    pickled = next((name for name in archive.namelist() if name.split("/")[-1] == "data.pkl"), None)
    if pickled is None:
        raise pickle.UnpicklingError("an archive without data.pkl, which torch.save writes")
    folder = pickled.removesuffix("data.pkl") + "data/"

    def storage(dtype: Any, key: str, size: int) -> np.ndarray:
        return np.frombuffer(archive.read(f"{folder}{key}"), dtype)

    return _Unpickler(archive.open(pickled), foreign, storage).load()


def _load_legacy(file: BinaryIO) -> Any:
    """Torch's older layout after its first pickle: the object, then the numbers of its storages."""
    for _ in range(2):  # protocol version and system
        _Unpickler(file, _stand_in).load()
    here = file.tell()
    most = file.seek(0, io.SEEK_END)
    file.seek(here)
    storages: dict[str, np.ndarray] = {}

    def storage(dtype: Any, key: str, size: int) -> np.ndarray:
        if key not in storages:
            if not 0 <= size * np.dtype(dtype).itemsize <= most:
                raise pickle.UnpicklingError(f"a storage of {size} numbers in a file of {most} bytes")
            storages[key] = np.zeros(size, dtype)  # its numbers come after the object
        return storages[key]

    found = _Unpickler(file, _stand_in, storage).load()
    for key in _Unpickler(file, _stand_in).load():
        (size,) = np.frombuffer(file.read(8), np.int64)
        if size != storages[key].size:
            raise pickle.UnpicklingError(f"a storage of {size} numbers, {storages[key].size} are declared")
        storages[key][:] = np.frombuffer(file.read(storages[key].nbytes), storages[key].dtype)
    return found


def _stand_in(asks_for: str) -> Any:
    return type("Unread", (Unread,), {"asks_for": asks_for})


class _Unpickler(pickle.Unpickler):
    def __init__(
        self, file: Any, foreign: Callable[[str], Any], storage: Callable[..., np.ndarray] | None = None
    ):
        super().__init__(file)
        self._foreign, self._storage = foreign, storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return _ALLOWED[module, name]
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        return self._foreign(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> np.ndarray:
        _, dtype, key, _, size, *_ = pid
        if self._storage is None or (isinstance(dtype, type) and issubclass(dtype, Unread)):
            raise pickle.UnpicklingError("a tensor of numbers that NumPy does not have")
        return self._storage(dtype, key, size)


def _tensor(
    storage: np.ndarray, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> np.ndarray:
    """What torch._utils._rebuild_tensor_v2 makes; offset and strides are counted in elements."""
    end = offset + 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if 0 not in shape and not 0 <= offset < end <= storage.size:
        raise pickle.UnpicklingError(f"a tensor {tuple(shape)} lies outside its storage of {storage.size}")
    in_bytes = tuple(stride * storage.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(storage[offset:], shape, in_bytes, writeable=False)


def _scalar(dtype: np.dtype, numbers: Any = b"") -> Any:
    """What numpy.core.multiarray.scalar makes."""
    if not isinstance(numbers, bytes) or dtype.hasobject:
        raise pickle.UnpicklingError(f"a number of {dtype} that holds objects")
    return np.frombuffer(numbers, dtype)[0]


def _encode(text: str, encoding: str) -> bytes:
    """What _codecs.encode does where protocol 2 writes bytes."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return codecs.encode(text, "latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
    ("_codecs", "encode"): _encode,
}
for _core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = np.empty(1).__reduce__()[0]
    _ALLOWED[f"{_core}.multiarray", "scalar"] = _scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = np.empty(1).__reduce_ex__(5)[0]  # type: ignore[index]
