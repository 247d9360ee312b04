import os
import re
import stat
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daframework.data.decode import image_size, read_image, read_label, read_rgba, write_image, write_label
from daframework.data.label_files import map_ids
from daframework.data.scaling import Scaling
from daframework.errors import DataError

READERS = pytest.mark.parametrize("read", [read_image, read_label, image_size])


def noise(*shape, high=256, dtype=np.uint8):
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


def png(width, bits, rows, *, colour=0, before=b""):
    """A PNG put together by hand, for what Pillow does not write: ``colour`` 0 is grey, 3 a palette."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + (chunk(b"PLTE", before) if before else b"") + pixels + chunk(b"IEND", b"")


def with_chunk(content, kind, data, *, broken=False, behind=False):
    """The PNG with one more chunk, before or behind its pixels."""
    checksum = zlib.crc32(kind + data) ^ broken
    place = content.index(b"IEND" if behind else b"IDAT") - 4
    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
    return content[:place] + chunk + content[place:]


# --- images ---


def test_image_is_rgb_channels_first(tmp_path):
    pixels = noise(5, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    assert image.shape == (3, 5, 7) and image.dtype == np.uint8 and image.flags.c_contiguous
    assert np.array_equal(image.transpose(1, 2, 0), pixels)


def test_grey_palette_and_opaque_images_give_their_colours(tmp_path):
    grey, opaque, palette = noise(4, 6), noise(4, 6, 4), Image.fromarray(np.array([[0, 1]], dtype=np.uint8), "P")
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.array_equal(read_image(tmp_path / "grey.png"), np.stack([grey] * 3))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").tolist() == [[[10, 40]], [[20, 50]], [[30, 60]]]
    opaque[..., 3] = 255
    Image.fromarray(opaque).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png").transpose(1, 2, 0), opaque[..., :3])
    opaque[0, 0, 3] = 254
    Image.fromarray(opaque).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: has transparent pixels; flatten it"):
        read_image(tmp_path / "a.png")


def test_other_colour_modes_are_refused_by_name(tmp_path):
    Image.new("CMYK", (6, 4)).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"a\.jpg: colour mode CMYK is not supported; convert it to 8-bit RGB"):
        read_image(tmp_path / "a.jpg")


@pytest.mark.parametrize("colour, values", [(0, [7000]), (2, [7000, 8000, 9500]), (6, [7000, 8000, 9500, 65535])])
def test_sixteen_bits_are_scaled_as_told_and_never_in_silence(tmp_path, colour, values):
    pixel = struct.pack(f">{len(values)}H", *values)
    (tmp_path / "a.png").write_bytes(png(1, 16, [pixel], colour=colour))
    with pytest.raises(
        DataError, match=r"a\.png: holds 16 bits a channel, .*value_range = \[0, 65535\], or value_perc"
    ):
        read_image(tmp_path / "a.png")
    assert image_size(tmp_path / "a.png") == (1, 1)
    scaled = {7000: 0, 8000: 128, 9500: 255}  # of [7000, 9000]: 127.5 is even at 128, and what lies beyond is cut off
    expected = [scaled[value] for value in (values * 3)[:3]]
    assert read_image(tmp_path / "a.png", scaling=Scaling(7000, 9000)).flatten().tolist() == expected


def test_percentiles_scale_each_image_by_its_own_values(tmp_path):
    for name, first in (("a.png", 100), ("b.png", 30_000)):
        Image.fromarray(np.arange(first, first + 101, dtype=np.uint16)[None]).save(tmp_path / name)
    dark, bright = (
        read_image(tmp_path / name, scaling=Scaling(10, 90, percentiles=True)) for name in ("a.png", "b.png")
    )
    assert np.array_equal(dark, bright) and dark[0, 0, [0, 10, 50, 90, 100]].tolist() == [0, 0, 128, 255, 255]
    Image.fromarray(np.full((2, 2), 9000, np.uint16)).save(tmp_path / "even.png")
    assert not read_image(tmp_path / "even.png", scaling=Scaling(1, 99, percentiles=True)).any()


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_eight_bits_are_read_as_they_are_whatever_the_scaling(tmp_path, name):
    Image.fromarray(noise(4, 6)).save(tmp_path / name)
    assert np.array_equal(read_image(tmp_path / name, scaling=Scaling(100, 200)), read_image(tmp_path / name))


@pytest.mark.parametrize("key", [[7000, 8000, 9000], None])
def test_transparent_pixels_of_sixteen_bits_are_refused(tmp_path, key):
    pixel = struct.pack(">4H", 7000, 8000, 9000, 65534)[: 8 if key is None else 6]
    content = png(1, 16, [pixel], colour=6 if key is None else 2)
    if key is not None:
        content = with_chunk(content, b"tRNS", struct.pack(">3H", *key))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: has transparent pixels"):
        read_image(tmp_path / "a.png", scaling=Scaling(0, 65535))


METADATA = {
    "much text": (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21))),
    "a bomb of text": (b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(bytes(2**27))),
    "a broken profile": (b"iCCP", b"name\0\0no zlib stream"),
    "broken EXIF": (b"eXIf", b"II*\0\xff\xff\xff\xff"),
    "an own chunk": (b"prVt", b"anything"),
}


@READERS
@pytest.mark.parametrize("what", METADATA)
@pytest.mark.parametrize("chunk", ["sound", "broken"])
@pytest.mark.parametrize("behind", [False, True])
def test_metadata_of_a_png_is_not_the_picture(tmp_path, read, what, chunk, behind):
    Image.fromarray(noise(4, 6, high=35)).save(tmp_path / "a.png")
    sound = read(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(with_chunk(content, *METADATA[what], broken=chunk == "broken", behind=behind))
    found = read(tmp_path / "a.png")
    assert np.array_equal(found, sound)


@pytest.mark.parametrize("kind", [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"])
@pytest.mark.parametrize("read", [read_image, read_label])
def test_a_broken_part_of_the_picture_is_refused(tmp_path, read, kind):
    picture = Image.fromarray(noise(4, 6, high=3), "P")
    picture.putpalette(bytes(range(9)))
    picture.save(tmp_path / "a.png", transparency=b"\xff\xff\xff")
    content = bytearray((tmp_path / "a.png").read_bytes())
    place = content.index(kind)
    content[place + 4 + int.from_bytes(content[place - 4 : place], "big")] ^= 1  # the checksum
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: truncated or damaged \(broken checksum"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.webp"])
def test_broken_exif_is_not_the_picture(tmp_path, name):
    Image.fromarray(noise(16, 16, 3)).save(tmp_path / name)
    sound = read_image(tmp_path / name)
    Image.fromarray(noise(16, 16, 3)).save(tmp_path / name, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(read_image(tmp_path / name), sound) and image_size(tmp_path / name) == (16, 16)


def test_colour_profiles_and_gamma_are_ignored(tmp_path):
    from PIL import ImageCms

    pixels = noise(8, 8, 3)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(with_chunk(content, b"gAMA", struct.pack(">I", 100_000)))
    assert np.array_equal(read_image(tmp_path / "a.png").transpose(1, 2, 0), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_exif_orientation_turns_the_image_upright(tmp_path, orientation, name):
    # What a viewer shows for each orientation of the picture [[a, b, c], [d, e, f]], from the EXIF standard.
    shown = {1: "abc/def", 2: "cba/fed", 3: "fed/cba", 4: "def/abc", 5: "ad/be/cf", 6: "da/eb/fc", 7: "fc/eb/da"}
    expected = [[ord(letter) for letter in row] for row in shown.get(orientation, "cf/be/ad").split("/")]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.frombuffer(b"abcdef", dtype=np.uint8).reshape(2, 3)
    Image.fromarray(stored).convert("RGB").save(
        tmp_path / name, exif=exif, **({} if name == "a.png" else {"lossless": 1})
    )
    assert read_image(tmp_path / name)[0].tolist() == expected
    assert image_size(tmp_path / name) == (len(expected), len(expected[0]))
    Image.fromarray(noise(8, 16, 3)).save(tmp_path / "a.jpg", exif=exif)
    assert image_size(tmp_path / "a.jpg") == read_image(tmp_path / "a.jpg").shape[1:]
    assert image_size(tmp_path / "a.jpg") == ((8, 16) if orientation < 5 else (16, 8))


def test_xmp_turns_no_image_with_exif_or_without(tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    for exif in (b"", b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"):
        Image.fromarray(noise(8, 16, 3)).save(tmp_path / "a.jpg", xmp=xmp, exif=exif)
        assert image_size(tmp_path / "a.jpg") == read_image(tmp_path / "a.jpg").shape[1:] == (8, 16)


@pytest.mark.parametrize("read", [read_image, read_rgba])
def test_colours_of_a_palette_that_is_missing_are_refused(tmp_path, read):
    (tmp_path / "a.png").write_bytes(png(2, 8, [b"\0\1"], colour=3))
    with pytest.raises(DataError, match=r"a\.png: truncated or damaged \(its palette is missing\)"):
        read(tmp_path / "a.png")
    assert read_label(tmp_path / "a.png").tolist() == [[0, 1]]


# --- labels ---


@pytest.mark.parametrize("kind", ["grey", "palette", "16 bits"])
def test_label_gives_its_ids_and_not_its_colours(tmp_path, kind):
    ids = np.array([[0, 1, 2, 255, 256, 26001, 65535]], np.uint16) if kind == "16 bits" else noise(5, 7, high=201)
    picture = Image.fromarray(ids)
    if kind == "palette":
        picture.putpalette(noise(256 * 3).tolist())
    picture.save(tmp_path / "a.png")
    label = read_label(tmp_path / "a.png")
    assert label.dtype == (np.int32 if kind == "16 bits" else np.uint8) and label.tolist() == ids.tolist()


@pytest.mark.parametrize(
    "bits, row, ids",
    [(1, [0b01100000], [0, 1, 1]), (2, [0b00011011], [0, 1, 2, 3]), (4, [0x01, 0x2F], [0, 1, 2, 15])],
)
@pytest.mark.parametrize("colour", [0, 3])
def test_label_of_few_bits_keeps_its_ids(tmp_path, bits, row, ids, colour):
    content = png(len(ids), bits, [bytes(row)], colour=colour, before=bytes(3 << bits) if colour == 3 else b"")
    (tmp_path / "a.png").write_bytes(content)
    assert read_label(tmp_path / "a.png").tolist() == [ids]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_label_of_colours_is_refused(tmp_path, mode):
    Image.new(mode, (6, 4)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="a label image must hold class ids, this one holds colours"):
        read_label(tmp_path / "a.png")


def test_jpeg_label_is_refused_since_it_changes_ids(tmp_path):
    Image.fromarray(noise(8, 8)).save(tmp_path / "a.png", "JPEG")
    with pytest.raises(DataError, match="a label must be a PNG"):
        read_label(tmp_path / "a.png")


# --- files that cannot be read ---


@READERS
def test_what_is_no_image_is_named(tmp_path, read):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("<html>404</html>")
    for path, says in {
        "gone.png": "no such file",
        "empty.png/gone.png": "no such file",
        ".": "is a folder",
        "empty.png": "the file is empty",
        "text.png": "not a PNG" if read is read_label else "not an image",
    }.items():
        with pytest.raises(DataError, match=rf"{re.escape(str(tmp_path / path))}: {says}"):
            read(tmp_path / path)


@pytest.mark.parametrize("name, read", [("a.png", read_image), ("a.jpg", read_image), ("a.png", read_label)])
def test_truncated_file_is_an_error_of_one_line_and_not_half_an_image(tmp_path, name, read):
    path = tmp_path / name
    Image.fromarray(noise(64, 64)).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"{name}: truncated or damaged") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp"])
def test_damaged_bytes_never_escape_as_another_error(tmp_path, name):
    path = tmp_path / name
    Image.fromarray(noise(16, 16, 3)).save(path)
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(100):
        content = bytearray(whole[: random.integers(len(whole) // 2, len(whole))])
        content[random.integers(len(content))] = random.integers(256)
        path.write_bytes(content)
        for read in (read_image, image_size, read_label):
            try:
                read(path)
            except DataError:
                refused += 1
    assert refused >= 100  # a label reader refuses every file but PNG


def test_unreadable_file_is_named():
    folder = Path(tempfile.mkdtemp())  # pytest's own folders cannot be entered by another user
    folder.chmod(0o755)
    path = folder / "a.png"
    Image.fromarray(noise(4, 4)).save(path)
    path.chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(DataError, match=r"a\.png: may not be read \(permission denied\)"):
            read_image(path)
    finally:
        os.seteuid(user)
        path.unlink()
        folder.rmdir()


def test_animation_is_refused(tmp_path):
    frames = [Image.fromarray(noise(4, 4)), Image.new("L", (4, 4))]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="holds several frames"):
        read_image(tmp_path / "a.png")


@READERS
@pytest.mark.parametrize("side", [10_000, 60_000])
@pytest.mark.filterwarnings("error")
def test_file_that_claims_to_be_huge_is_refused_before_it_is_decoded(tmp_path, read, side):
    content = bytearray(png(1, 8, [b"\0"]))
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.png: holds .* pixels, more than the 89478485 allowed"):
        read(tmp_path / "a.png")


def test_size_is_height_then_width_and_needs_only_the_header(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(noise(64, 32)).save(path)
    path.write_bytes(path.read_bytes()[:100])
    assert image_size(path) == (64, 32)


# --- writing ---


def test_png_comes_back_as_written(tmp_path):
    image, label = torch.from_numpy(noise(3, 9, 5)), torch.from_numpy(noise(9, 5))
    write_image(tmp_path / "new" / "a.png", image)
    assert np.array_equal(read_image(tmp_path / "new" / "a.png"), image)
    write_label(tmp_path / "new" / "label.png", label)
    assert np.array_equal(read_label(tmp_path / "new" / "label.png"), label)
    with pytest.raises(ValueError, match=r"a label is written as \.png"):
        write_label(tmp_path / "a.jpg", label)


def test_jpeg_keeps_colours_at_full_resolution(tmp_path):
    # Columns of red and blue in turn: halved colour resolution would blur them into purple.
    image = torch.zeros(3, 16, 16, dtype=torch.uint8)
    image[0, :, ::2] = 255
    image[2, :, 1::2] = 255
    write_image(tmp_path / "a.jpg", image)
    with Image.open(tmp_path / "a.jpg") as file:
        assert file.format == "JPEG"
    error = np.abs(read_image(tmp_path / "a.jpg") - image.numpy().astype(int)).mean()
    assert error < 10


def test_tensor_that_is_a_view_is_written_right(tmp_path):
    image = torch.from_numpy(noise(3, 8, 8)).flip(2).transpose(1, 2)
    write_image(tmp_path / "a.png", image)
    assert np.array_equal(read_image(tmp_path / "a.png"), image)


def test_written_file_has_the_usual_rights_and_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "plain").touch()
    write_label(tmp_path / "a.png", torch.zeros(4, 4, dtype=torch.uint8))
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "plain"]


def test_failed_write_leaves_nothing_and_says_where(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(DataError, match=r"a\.png: cannot be written"):
        write_image(tmp_path / "a.png", torch.zeros(3, 4, 4, dtype=torch.uint8))
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"b\.png: cannot be written"):
        write_image(tmp_path / "file" / "b.png", torch.zeros(3, 4, 4, dtype=torch.uint8))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "file"]


@pytest.mark.parametrize(
    "image", [torch.zeros(3, 4, 4), torch.zeros(4, 4, 3, dtype=torch.uint8), torch.zeros(4, 4, dtype=torch.uint8)]
)
def test_wrong_image_tensor_is_refused(tmp_path, image):
    with pytest.raises(ValueError, match=re.escape("must be (3, H, W) uint8")):
        write_image(tmp_path / "a.png", image)


# --- id maps ---


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_ids_become_classes(dtype):
    label = np.array([[7, 8], [0, 7]], dtype)
    if dtype == np.int32:
        wide = np.array([[26001, 65535]], dtype)
        assert map_ids(wide, {26001: 3, 65535: 255}, where="a.png").tolist() == [[3, 255]]
    mapped = map_ids(label, {0: 255, 7: 0, 8: 1, 26001: 2}, where="a.png")
    assert mapped.dtype == np.uint8 and mapped.tolist() == [[0, 1], [255, 0]]
    assert label.tolist() == [[7, 8], [0, 7]]


def test_unmapped_id_is_refused_by_name_and_count():
    label = np.zeros((20, 10), np.uint8)
    label[:12] = 34
    with pytest.raises(DataError) as caught:
        map_ids(label, {i: i for i in range(12)}, where="labels/0001.png")
    assert str(caught.value) == (
        "labels/0001.png: id 34 (120 pixels) is not in the id map (known: 0..11); map it to a class or to ignore"
    )


def test_several_unmapped_ids_are_named_together():
    label = np.arange(10, dtype=np.uint8).reshape(2, 5)
    with pytest.raises(DataError, match=re.escape("ids 0 (1 pixel), 1 (1 pixel)")) as caught:
        map_ids(label, {7: 0, 8: 1, 255: 255}, where="a.png")
    assert "and 3 more are not in the id map (known: 7..8, 255); map it" in str(caught.value)
    # 255 is not ignored unless the map says so.
    with pytest.raises(DataError, match=r"id 255 \(4 pixels\)"):
        map_ids(np.full((2, 2), 255, np.uint8), {0: 0}, where="a.png")
