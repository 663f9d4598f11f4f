import os
from dataclasses import replace

import pytest
import tiny
import torch
from projected import extractor, images

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.metrics.features import cache as feature_cache
from shoestring.metrics.features.cache import PART, extract_once
from shoestring.metrics.features.extractor import extract

torch.set_num_threads(1)


def test_the_same_images_are_extracted_once(tmp_path):
    calls = []
    first = extract_once(extractor(calls), images(), tmp_path / "cache", Progress())
    assert calls == [20]
    again = extract_once(extractor(calls), images(), tmp_path / "cache", Progress(), batch_size=3)
    assert calls == [20]
    assert torch.equal(first, again)
    assert torch.equal(first, extract(extractor(), images(), Progress()))


def test_other_pixels_order_shape_or_extractor_are_not_taken_from_the_cache(tmp_path):
    calls, said = [], tiny.Heard()
    changed = images()
    changed[3, 0, 0, 0] = 255 - changed[3, 0, 0, 0]
    for some in (images(), changed, images().flip(0), images().transpose(2, 3).contiguous().view(20, 3, 4, 5)):
        found = extract_once(extractor(calls), some, tmp_path, said)
        assert torch.equal(found, extract(extractor(), some, Progress()))
    extract_once(extractor(calls), images().view(20, 3, 5, 4), tmp_path, said)
    for other in ({"name": "other"}, {"hash": "ffffffffffff"}, {"resizing": "clean"}, {"code": "new"}):
        extract_once(replace(extractor(calls), **other), images(), tmp_path, said)
    assert len(calls) == len(list(tmp_path.iterdir())) == 9
    assert said.messages == []


@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty"])
def test_a_damaged_cache_is_computed_anew(tmp_path, damage):
    calls, said = [], tiny.Heard()
    whole = extract_once(extractor(calls), images(), tmp_path, said)
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes({"truncated": content[:-3], "flipped": content, "empty": b""}[damage])
    assert torch.equal(extract_once(extractor(calls), images(), tmp_path, said), whole)
    assert calls == [20, 20]
    (message,) = said.messages
    assert f"{file} is damaged" in message
    extract_once(extractor(calls), images(), tmp_path, said)
    assert calls == [20, 20]


def test_an_interrupted_extraction_goes_on_where_it_stopped(tmp_path):
    some = images(2 * PART + 5)

    def fails_late(part):
        if torch.equal(part[-1], some[-1]):
            raise KeyboardInterrupt
        return extractor().function(part)

    with pytest.raises(KeyboardInterrupt):
        extract_once(replace(extractor(), function=fails_late), some, tmp_path, Progress(), PART)
    calls = []
    found = extract_once(extractor(calls), some, tmp_path, Progress(), PART)
    assert calls == [5]
    assert torch.equal(found, extract(extractor(), some, Progress()))


def test_the_files_used_longest_ago_go_first(tmp_path, monkeypatch):
    for seed in range(3):
        extract_once(extractor(), images(seed=seed), tmp_path, Progress())
        for file in tmp_path.iterdir():
            os.utime(file, (file.stat().st_atime, file.stat().st_mtime - 100))
    extract_once(extractor(), images(seed=0), tmp_path, Progress())  # used again, so that seed 1 is the oldest
    size = max(file.stat().st_size for file in tmp_path.iterdir())
    monkeypatch.setattr(feature_cache, "MOST", 3 * size)
    extract_once(extractor(), images(seed=3), tmp_path, Progress())
    calls = []
    for seed in (0, 2, 3, 1):
        extract_once(extractor(calls), images(seed=seed), tmp_path, Progress())
    assert calls == [20]


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    said = tiny.Heard()
    found = extract_once(extractor(), images(), tmp_path / "cache", said)
    assert torch.equal(found, extract(extractor(), images(), Progress()))
    assert "not kept for another time" in said.messages[-1]


def test_images_that_are_no_set_are_refused(tmp_path):
    with pytest.raises(DataError, match="at least 2 images"):
        extract_once(extractor(), images(1), tmp_path, Progress())
    assert not list(tmp_path.iterdir())
