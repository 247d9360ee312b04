import struct
import warnings
import zlib
from itertools import pairwise

import numpy as np
import pytest
import torch
from image_files import names, picture, pixels, write_deep
from image_files import write as write_image
from PIL import Image

from daf_driving.synthia import Synthia
from daframework.data.label_files import read_first_channel
from daframework.errors import DataError
from daframework.testing import check_dataset

NAMES = ["0000000", "0000001", "0000002"]
IDS = np.arange(40).reshape(5, 8) % 23  # every id that the set has
CHANNELS = {2: 3, 4: 2, 6: 4}  # PNG colour type: RGB, grey with alpha, RGB with alpha


# --- a PNG writer of its own, from the format's specification: https://www.w3.org/TR/png-3/#9Filters ---


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def paeth(a, b, c):
    distances = [abs(a + b - c - value) for value in (a, b, c)]
    return (a, b, c)[distances.index(min(distances))]


def filtered(row, above, step, kind):
    """The bytes of a row, each less what filter ``kind`` predicts from left (a), above (b) and above left (c)."""
    out = bytearray([kind])
    for x, value in enumerate(row):
        a = row[x - step] if x >= step else 0
        b = above[x]
        c = above[x - step] if x >= step else 0
        out.append((value - [0, a, b, (a + b) // 2, paeth(a, b, c)][kind]) % 256)
    return bytes(out)


def png(pixels, *, filters=(0,), parts=1, interlace=0):
    """(H, W, channels) 16-bit values as a PNG; row y has filter ``filters[y % len]``; pixels in ``parts`` chunks."""
    height, width, channels = pixels.shape
    colour = next(colour for colour, count in CHANNELS.items() if count == channels)
    rows = [row.astype(">u2").tobytes() for row in pixels]
    above = [bytes(len(rows[0])), *rows]
    stream = b"".join(filtered(row, above[y], 2 * channels, filters[y % len(filters)]) for y, row in enumerate(rows))
    packed = zlib.compress(stream)
    cuts = [len(packed) * part // parts for part in range(parts + 1)]
    data = [chunk(b"IDAT", packed[start:end]) for start, end in pairwise(cuts)]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour, 0, 0, interlace))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"tEXt", b"a\0b") + b"".join(data) + chunk(b"IEND", b"")


def values(channels, seed=0, shape=(9, 7)):
    """Any 16-bit values: low and high bytes both matter, and all filters wrap around."""
    return np.random.default_rng(seed).integers(0, 65536, (*shape, channels), dtype=np.uint16)


def wide(ids, channels=3):
    """A label as distributed: class ids first, instance ids beside them."""
    pixels = np.zeros((*ids.shape, channels), dtype=np.uint16)
    pixels[..., 0] = ids
    pixels[..., 1] = np.arange(ids.size).reshape(ids.shape) * 37
    return pixels


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# --- 16-bit PNGs of several channels ---


@pytest.mark.parametrize("channels", [3, 2, 4])
@pytest.mark.parametrize("filters", [(0,), (1,), (2,), (3,), (4,), (4, 3, 2, 1, 0)])
def test_first_channel_is_read_whole_whatever_the_filter(tmp_path, channels, filters):
    pixels = values(channels)
    path = write(tmp_path / "label.png", png(pixels, filters=filters, parts=3))
    ids = read_first_channel(path)
    assert ids.dtype == np.int32
    assert np.array_equal(ids, pixels[..., 0])


@pytest.mark.parametrize("channels", [3, 2, 4])
def test_libpng_reads_the_same(tmp_path, channels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        io = pytest.importorskip("torchvision.io")
        if not hasattr(io, "decode_png"):
            pytest.skip("torchvision decodes no images")
        path = write(tmp_path / "label.png", png(values(channels), filters=(4, 3, 2, 1, 0)))
        decoded = io.decode_png(torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8))
    if decoded.dtype == torch.uint8:
        pytest.skip("torchvision before 0.21 has no 16-bit values")
    assert np.array_equal(read_first_channel(path), decoded[0])


def test_pillow_alone_would_give_nothing_but_void(tmp_path):
    path = write(tmp_path / "label.png", png(wide(IDS)))
    with Image.open(path) as image:
        assert image.mode == "RGB" and not np.array(image)[..., 0].any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1)])
def test_thin_images_are_read(tmp_path, shape):
    pixels = values(3, shape=shape)
    path = write(tmp_path / "label.png", png(pixels, filters=(4, 3)))
    assert np.array_equal(read_first_channel(path), pixels[..., 0])


def test_one_channel_is_read_as_ever(tmp_path):
    write_image(tmp_path / "grey.png", IDS)
    assert np.array_equal(read_first_channel(tmp_path / "grey.png"), IDS)
    write_deep(tmp_path / "deep.png", IDS * 1000)
    assert np.array_equal(read_first_channel(tmp_path / "deep.png"), IDS * 1000)


def broken(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize(
    "spoil, says",
    [
        (lambda content: b"", r"the file is empty \(0 bytes\)"),
        (lambda content: content[:-30], "truncated or damaged"),
        (lambda content: broken(content, content.index(b"IDAT") + 12), "truncated or damaged .*broken checksum"),
        (lambda content: b"II*\0 no PNG at all", "not a PNG"),
        (lambda content: png(values(3), interlace=1), "an interlaced PNG of several channels is not supported"),
    ],
)
def test_a_damaged_file_is_named_in_one_line(tmp_path, spoil, says):
    path = write(tmp_path / "label.png", spoil(png(values(3))))
    with pytest.raises(DataError, match=rf"label\.png: {says}") as caught:
        read_first_channel(path)
    assert "\n" not in str(caught.value)


def test_a_stream_of_too_few_rows_or_an_unknown_filter_is_damaged(tmp_path):
    whole = png(values(3))
    start = whole.index(b"IDAT") - 4

    def with_stream(stream):
        return write(
            tmp_path / "label.png", whole[:start] + chunk(b"IDAT", zlib.compress(stream)) + chunk(b"IEND", b"")
        )

    with pytest.raises(DataError, match="truncated or damaged \\(43 of 387 bytes of pixels\\)"):
        read_first_channel(with_stream(bytes(43)))
    with pytest.raises(DataError, match="truncated or damaged"):
        read_first_channel(with_stream((b"\x09" + bytes(42)) * 9))


def test_a_missing_file_and_an_absurd_size_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.png: no such file"):
        read_first_channel(tmp_path / "none.png")
    content = png(values(3))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 16, 2, 0, 0, 0))
    path = write(tmp_path / "label.png", content[:8] + header + content[8 + len(header) :])
    with pytest.raises(DataError, match="pixels, more than the"):
        read_first_channel(path)


# --- the dataset ---


def build(root):
    for index, name in enumerate(NAMES):
        write_image(root / "RGB" / f"{name}.png", picture(index))
        write(root / "GT" / "LABELS" / f"{name}.png", png(wide(IDS), filters=(index, 4)))
        write_image(root / "GT" / "COLOR" / f"{name}.png", picture(index))


@pytest.fixture
def synthia(tmp_path):
    build(tmp_path)
    return tmp_path


def made(root, split="train", **options):
    return Synthia(root=str(root), split=split, **options)


@pytest.mark.parametrize("channels", [3, 2])
def test_ids_of_the_first_channel_become_the_16_classes(synthia, channels):
    write(synthia / "GT" / "LABELS" / "0000001.png", png(wide(IDS, channels), filters=(4, 3)))
    dataset = made(synthia)
    check_dataset(dataset)
    assert names(dataset) == NAMES
    sample = dataset[1]
    assert np.array_equal(pixels(sample), picture(1))
    assert sample.label.dtype == torch.uint8
    label = dict(zip(IDS.flatten().tolist(), sample.label.flatten().tolist(), strict=True))
    meaning = {raw: dataset.classes[index] for raw, index in label.items() if index != 255}
    assert meaning[3] == "road" and meaning[10] == "person" and meaning[21] == "wall"
    assert sorted(meaning.values()) == sorted(dataset.classes)
    assert [raw for raw in range(23) if raw not in meaning] == [0, 13, 14, 16, 18, 20, 22]


def test_labels_narrowed_to_one_channel_are_read_alike(synthia):
    write_image(synthia / "GT" / "LABELS" / "0000001.png", IDS)
    dataset = made(synthia)
    assert torch.equal(dataset[0].label, dataset[1].label)


@pytest.mark.parametrize("raw", [23, 259, 65535])
def test_an_unknown_id_is_refused_even_if_its_low_byte_is_known(synthia, raw):
    ids = IDS.copy()
    ids[ids == 3] = raw
    write(synthia / "GT" / "LABELS" / "0000002.png", png(wide(ids)))
    with pytest.raises(
        DataError, match=rf"0000002\.png: id {raw} \(2 pixels\) is not in the id map \(known: 0\.\.22\)"
    ):
        made(synthia)[2]


def test_a_list_narrows_either_split(synthia):
    (synthia / "train.txt").write_text("0000000.png\n0000002.png\n")
    assert names(made(synthia, list_file="train.txt")) == ["0000000", "0000002"]
    assert names(made(synthia, "test", test_list_file="train.txt")) == ["0000000", "0000002"]
    assert names(made(synthia, "train", test_list_file="train.txt")) == NAMES
