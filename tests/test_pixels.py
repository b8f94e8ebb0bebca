"""Pictures of every mode: pixels of more than 8 bits, hidden colours, and which way is up."""

import numpy as np
import pytest
from PIL import Image

from grjax.data import ImageFiles
from grjax.errors import ConfigError


def decoded(folder, image, name, **options):
    """The picture as a data set has it, after it was written to a file."""
    image.save(folder / name, **options)
    return ImageFiles(folder, [name], max(image.size))[np.array([0])][0]


def grey16(value, size=8):
    return Image.fromarray(np.full((size, size), value, np.uint16))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm", "a.jp2"])
def test_grey_of_16_bits_is_scaled_by_its_range(tmp_path, name):
    for value, expected in ((0, 0), (5000, 19), (45000, 175), (65535, 255)):
        pixels = decoded(tmp_path, grey16(value), name)
        assert set(pixels.ravel().tolist()) == {expected}, value


def test_grey_of_16_bits_in_the_other_byte_order_is_the_same(tmp_path):
    image = Image.fromarray(np.full((8, 8), 45000, ">u2"))
    assert image.mode == "I;16B"
    assert set(decoded(tmp_path, image, "a.tif").ravel().tolist()) == {175}


def test_colours_of_16_bits_keep_their_upper_eight(tmp_path):
    # Pillow writes none: the bytes of a PNG of one pixel 5000, 45000, 65535.
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    row = b"\0" + struct.pack(">HHH", 5000, 45000, 65535)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row))
    (tmp_path / "a.png").write_bytes(content + chunk(b"IEND", b""))
    assert ImageFiles(tmp_path, ["a.png"], 1)[np.array([0])].ravel().tolist() == [19, 175, 255]


@pytest.mark.parametrize(
    ("dtype", "kind"), [(np.float32, "floating numbers"), (np.int32, "integers of 32 bits")]
)
def test_pixels_without_a_range_are_refused(tmp_path, dtype, kind):
    image = Image.fromarray(np.full((8, 8), 3, dtype))
    with pytest.raises(ConfigError, match=rf"a\.tif does not decode .* pixels are {kind}, .* 8 or 16 bits"):
        decoded(tmp_path, image, "a.tif")


def red(mode, alpha):
    """A red picture, half of it hidden under alpha 0."""
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 255))
    image.paste((255, 0, 0, alpha), (0, 0, 4, 8))
    return image.convert(mode)


@pytest.mark.parametrize(("alpha", "left"), [(0, [255, 255, 255]), (255, [255, 0, 0]), (51, [255, 204, 204])])
def test_white_shows_through_what_is_transparent(tmp_path, alpha, left):
    pixels = decoded(tmp_path, red("RGBA", alpha), "a.png")
    assert pixels[0, 0].tolist() == left
    assert pixels[0, 7].tolist() == [255, 0, 0]


def test_hidden_colours_of_other_modes_are_not_used(tmp_path):
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([9, 9, 9, 0, 0, 255])
    palette.putpixel((1, 1), 1)
    for name, options in (
        ("one.png", {"transparency": 0}),  # a colour of the palette
        ("bytes.png", {"transparency": bytes([0, 255])}),  # an alpha for each colour of the palette
        ("a.gif", {"transparency": 0}),
    ):
        pixels = decoded(tmp_path, palette, name, **options)
        assert pixels[0, 0].tolist() == [255, 255, 255], name
        assert pixels[1, 1].tolist() == [0, 0, 255], name
    grey = Image.fromarray(np.array([[[9, 0], [9, 255]]] * 2, np.uint8))
    assert grey.mode == "LA"
    assert decoded(tmp_path, grey, "la.png")[0, :, 0].tolist() == [255, 9]
    keyed = Image.new("RGB", (2, 2), (1, 2, 3))
    keyed.putpixel((0, 0), (4, 5, 6))
    pixels = decoded(tmp_path, keyed, "key.png", transparency=(1, 2, 3))
    assert pixels[0].tolist() == [[4, 5, 6], [255, 255, 255]]
    pixels = decoded(tmp_path, grey16(5000, 2), "key16.png", transparency=5000)
    assert set(pixels.ravel().tolist()) == {255}


def test_other_modes_have_their_colours(tmp_path):
    one_bit = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8)).convert("1")
    assert decoded(tmp_path, one_bit, "one.png")[..., 0].tolist() == [[0, 255], [255, 0]]
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    for name in ("a.tif", "a.jpg"):
        np.testing.assert_allclose(decoded(tmp_path, cyan, name)[4, 4], [0, 255, 255], atol=3)


# Where the top left corner of a picture belongs, by its EXIF orientation.
CORNERS = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", CORNERS)
def test_a_picture_is_turned_as_its_orientation_says(tmp_path, orientation, ending):
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = decoded(tmp_path, Image.fromarray(pixels), f"a.{ending}", exif=exif)
    corner = np.argwhere(found[4::8, 4::8, 0] > 128).tolist()
    assert corner == [list(CORNERS[orientation])]
    crop = ImageFiles(tmp_path, [f"a.{ending}"], 16).random_resized_crop(0, np.random.default_rng(0))
    assert crop.shape == (16, 16, 3)


def test_a_turned_picture_has_its_sides_changed(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert ImageFiles(tmp_path, ["a.jpg"], 8)._open(0).size == (20, 40)
