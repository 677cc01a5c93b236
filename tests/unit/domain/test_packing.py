"""Texts that are alike, kept small."""

import hashlib
import zlib

from hypothesis import given
from hypothesis import strategies as st

from loadmaster_ha.domain.packing import MOST_MODELS, WINDOW, Packing


@given(st.lists(st.text(), max_size=20))
def test_what_was_packed_is_unpacked_whatever_came_in_between(texts):
    packing = Packing()
    packed = [packing.pack(text) for text in texts]
    assert [packing.unpack(each) for each in packed] == texts


def test_texts_longer_than_the_window_are_unpacked_too():
    packing = Packing()
    texts = ["a" * 10, "long " * WINDOW, "b" * 5 * WINDOW]
    assert [packing.unpack(packing.pack(text)) for text in texts] == texts


def test_texts_that_are_alike_take_a_tenth_of_what_they_take_alone():
    def status(number):
        words = " ".join(hashlib.sha256(bytes([each])).hexdigest() for each in range(20))
        return f'{{"address":"10.0.0.{number}","message":"{words}"}}'

    packing = Packing()
    packing.pack("{}")  # statuses begin short
    packing.pack(status(0))
    assert 10 * len(packing.pack(status(1))) < len(zlib.compress(status(1).encode()))


def test_there_are_only_so_many_models():
    packing = Packing()
    for power in range(2 * MOST_MODELS):
        packing.pack("x" * 2**power * 3)
    assert len(packing._models) == MOST_MODELS
