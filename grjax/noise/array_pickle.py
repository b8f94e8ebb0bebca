"""Reading NumPy arrays from files with a pickle in them, without torch and without running what they say.

A pickle may call any function. The reader here can build arrays, and refuses a file that asks for more. It
reads what torch.save writes, a zip archive or, in the older layout, several pickles in a row; a .npy file of
a dictionary; and a plain pickle.
"""

import codecs
import io
import os
import pickle
import zipfile
from typing import Any, BinaryIO

import numpy as np

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of torch's older layout

_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,  # how protocol 2 writes bytes
}
for _core in ("numpy.core", "numpy._core"):  # NumPy 1 and 2
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = np.empty(1).__reduce__()[0]
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = np.empty(1).__reduce_ex__(5)[0]  # type: ignore[index]


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The dictionary of arrays in a file.

    Args:
      path: of a .pt, .npy or .pkl file.

    Raises:
      pickle.UnpicklingError: the file is damaged, or holds anything but a dictionary of NumPy arrays.
      OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        try:
            found = _read(file)
        except (OSError, pickle.UnpicklingError):
            raise
        except Exception as error:  # a damaged pickle raises whatever the part that was hit raises
            raise pickle.UnpicklingError(f"damaged: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(value, np.ndarray) for value in found.values()):
        raise pickle.UnpicklingError("not a dictionary of NumPy arrays")
    return found


def _read(file: BinaryIO) -> Any:
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            (name,) = [name for name in archive.namelist() if name.split("/")[-1] == "data.pkl"]
            return _ArrayUnpickler(io.BytesIO(archive.read(name))).load()
    file.seek(0)
    if file.read(6) == np.lib.format.MAGIC_PREFIX:
        file.seek(0)
        version = np.lib.format.read_magic(file)
        header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        _, _, dtype = header[version](file)
        if dtype != np.dtype(object):
            raise pickle.UnpicklingError(f"an array of {dtype}, not a dictionary of arrays")
        return _ArrayUnpickler(file).load().item()
    file.seek(0)
    found = _ArrayUnpickler(file).load()
    if isinstance(found, int) and found == _TORCH_MAGIC:
        for _ in range(3):  # protocol version, system, and then the object
            found = _ArrayUnpickler(file).load()
    return found


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"asks for {module}.{name}, and only NumPy arrays are read")
        return _ALLOWED[module, name]
