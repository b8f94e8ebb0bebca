"""Pictures of every mode as RGB of 8 bits, the way up that they are to be looked at."""

import numpy as np
from PIL import Image, ImageOps

_WITH_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
# Formats whose pixels of mode I, which has 32 bits, are those of 16 bits.
_SIXTEEN_BITS = ("PNG", "PPM")


def to_rgb(image: Image.Image) -> Image.Image:
    """An opened picture as RGB of 8 bits for each channel.

    Pixels of 16 bits are scaled by their range, 0..65,535, whatever part of it they use. Where a picture is
    transparent, white shows through. It is turned as its EXIF orientation says.

    Args:
      image: as Pillow opened it.

    Raises:
      ValueError: pixels without a range: floating numbers, and integers of 32 bits.
    """
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BITS):
        image = _eight_bits(image)
    elif image.mode in ("I", "F"):
        kind = "floating numbers" if image.mode == "F" else "integers of 32 bits"
        raise ValueError(f"its pixels are {kind}, whose range is not known; save it with 8 or 16 bits")
    turned = ImageOps.exif_transpose(image)
    if turned.mode in _WITH_ALPHA or "transparency" in turned.info:
        over = turned.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return turned.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 bits as grey of 8, with alpha where one grey is said to be transparent."""
    pixels = np.asarray(image).astype(np.int64)
    grey = ((pixels + 128) // 257).astype(np.uint8)  # 65,535 / 257 = 255
    hidden = image.info.get("transparency")
    shown = Image.fromarray(grey)
    if hidden is not None:
        shown.putalpha(Image.fromarray(np.where(pixels == hidden, 0, 255).astype(np.uint8)))
    shown.info["exif"] = image.info.get("exif", b"")
    return shown
