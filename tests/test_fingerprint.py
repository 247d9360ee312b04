"""Digests lie in run folders and caches: what they were for something they must stay."""

from hashlib import blake2b
from zlib import crc32

from daframework.compute.randomness import derive
from daframework.fingerprint import checksum_file, digest, digest_bytes


def test_digests_stay_what_they_were():
    assert digest("a", 1, None, {"b": [2.5]}) == "3c70f872c06d6a14c9933c6597119426"
    assert digest_bytes([b"a", memoryview(b"b")]) == blake2b(b"ab", digest_size=16).hexdigest()
    assert derive(3, "loss", 1) == 4223041373752781895


def test_a_file_of_many_blocks_has_the_checksum_of_its_content(tmp_path, monkeypatch):
    monkeypatch.setattr("daframework.fingerprint._BLOCK", 7)
    (tmp_path / "a").write_bytes(content := bytes(range(100)))
    assert checksum_file(tmp_path / "a") == crc32(content)
