"""One reader for CSV files as spreadsheets and other programs write them: images and label files."""

import numpy as np
import pytest
from PIL import Image

from grjax import data, noise, text_table
from grjax.errors import ConfigError

ROWS = [["image", "label"], *([f"{k}.png", "cat" if k % 2 else "dog"] for k in range(10))]


def text(rows, separator=",", ending="\n"):
    return "".join(separator.join(row) + ending for row in rows)


FORMS = {
    "plain": text(ROWS).encode(),
    "byte-order mark": b"\xef\xbb\xbf" + text(ROWS).encode(),
    "UTF-16 and tabs": text(ROWS, "\t", "\r\n").encode("utf-16"),
    "CRLF": text(ROWS, ending="\r\n").encode(),
    "CR": text(ROWS, ending="\r").encode(),
    "blank lines": b"\n" + text(ROWS).encode() + b"\n  \n",
    "lines of separators": text([*ROWS, ["", ""]]).encode(),
    "no last line end": text(ROWS).encode().rstrip(),
    "semicolon": text(ROWS, ";").encode(),
    "tab": text(ROWS, "\t").encode(),
    "capitals": text([["Image", "LABEL"], *ROWS[1:]]).encode(),
    "blanks": text([[f" {each} " for each in row] for row in ROWS]).encode(),
    "quotes": text([[f'"{each}"' for each in row] for row in ROWS]).encode(),
    "mark and quotes": b"\xef\xbb\xbf" + text([[f'"{each}"' for each in row] for row in ROWS]).encode(),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    for k in range(10):
        Image.new("RGB", (4, 4)).save(folder / f"{k}.png")
    return folder


@pytest.mark.parametrize("name", ["list.csv", "LIST.CSV"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_lists_images(pictures, form, name):
    (pictures / name).write_bytes(FORMS[form])
    dataset = data.load("csv", dir=pictures / name, image_size=4)
    assert dataset.class_names == ("cat", "dog")
    assert sum(len(split) for split in dataset.splits.values()) == 10


LABELS = [["id", "label"], *([str(k), str(k % 2)] for k in range(10))]


@pytest.mark.parametrize("name", ["labels.csv", "LABELS.CSV"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_a_label_file(tmp_path, form, name):
    content = FORMS[form]
    encoding = "utf-16" if form.startswith("UTF-16") else "utf-8"
    words = content.decode(encoding)
    for k in range(10):
        words = words.replace(f"{k}.png", str(k))
    words = words.replace("image", "id").replace("Image", "Id").replace("cat", "1").replace("dog", "0")
    (tmp_path / name).write_bytes(words.encode(encoding))
    noisy = noise.create("file", path=tmp_path / name)(np.arange(10) % 2, 2)
    assert noisy.labels.tolist() == [0, 1] * 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image,class\n1.png,a\n", "must have columns 'image' and 'label' in its header, found 'image'"),
        (b"", "must have columns 'image' and 'label' in its header, found nothing"),
        (b"image,label\n", "must have rows below its header"),
        (b"image,label,label\na,b,c\n", "has more than one column 'label'"),
        (b"image,label\n1.png,a\n\n2.png\n", "line 4 must have 2 values as the header has, got 1"),
        (b"image,label\n1.png,a\n2.png,\n3.png, \n", r"label must not be blank, it is in lines 3, 4 \(2 of"),
        (b"image,label\n1.png,caf\xe9\n", "is no text in UTF-8, save it as that"),
        (b"image,label\n1.png,-1\n2.png,1\n", "-1 is no class"),
        (b"image,label,split\n1.png,a,dev\n", "line 2: split must be 'train', 'validation' or 'te"),
        (b"image,label,split\n1.png,a,val\n", "there must be training examples, there are only validation"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(pictures, content, message):
    (pictures / "bad.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=rf"bad\.csv.*{message}|{message}"):
        data.load("csv", dir=str(pictures / "bad.csv"), image_size=4)


def test_lines_are_counted_as_editors_do(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b'a;b\r\n\r\n"two\r\nlines";1\r\nx;2\r\n')
    table = text_table.read(path, "file")
    assert table.columns == {"a": ["two\r\nlines", "x"], "b": ["1", "2"]}
    assert table.lines == [4, 5]


def test_splits_of_a_list_have_the_names_that_people_give_them(pictures):
    rows = [["image", "label", "split"]]
    rows += [[f"{k}.png", "ab"[k % 2], ["Train", "val", "TEST"][k // 4]] for k in range(10)]
    (pictures / "splits.csv").write_text(text(rows))
    dataset = data.load("csv", dir=pictures / "splits.csv", image_size=4)
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "train": 4, "validation": 4, "test": 2,
    }  # fmt: skip
