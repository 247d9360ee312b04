"""The benchmark of translating, at a small size."""

import json

OPTIONS = ["--device", "cpu", "--sizes", "32x48", "--images", "2", "--rounds", "1", "--precision", "32-true"]


def test_all_ways_of_translating_write_the_same_images(script, tmp_path):
    code, text, errors = script("translate.py", *OPTIONS, "--out", tmp_path / "out.json")
    assert code == 0, errors
    found = json.loads((tmp_path / "out.json").read_text())
    (case,) = found["cases"]
    assert case["size"] == [32, 48] and case["images"] == 2 and case["precision"] == "32-true"
    assert set(case["images_per_second"]) == {"one at a time", "translate_set", "translate_folder"}
    # The reference cuts a fraction off where we round: a level in half of all pixels.
    assert all(0.3 < levels < 0.7 for levels in case["grey_levels_from_plain"].values())
    rate = case["images_per_second"]
    assert case["ratios"]["translate_set"] == rate["translate_set"] / rate["one at a time"]
    assert "commit" in found["environment"]
    table = text.strip().splitlines()
    assert len(table) == 5 and table[-1].startswith("48 x 32, 2 images, translate_folder")
