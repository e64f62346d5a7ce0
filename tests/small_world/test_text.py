"""CLIP's tokenizer format with Small World's words."""

import pytest

from small_world.scene import vocabulary
from small_world.text import LENGTH, new_text_encoder, tokenize, write_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import CLIPTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(folder)
    return CLIPTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("word", [word.strip(",") for word in vocabulary()])
def test_every_word_of_a_caption_is_one_token(tokenizer, word):
    assert tokenizer.tokenize(word) == [word + "</w>"]


def test_unknown_words_fall_apart_and_lose_nothing(tokenizer):
    pieces = tokenizer.tokenize("zebra, (ÄÖ)!")
    assert tokenizer.convert_tokens_to_string(pieces).replace(" ", "") == "zebra,(äö)!"


def test_tokens_are_framed_and_padded_as_clip_does(tokenizer):
    row = tokenize(tokenizer, ["a harbour"])[0].tolist()
    assert len(row) == LENGTH
    assert row[0] == tokenizer.bos_token_id
    assert row[3:] == [tokenizer.eos_token_id] * (LENGTH - 3)


def test_the_mean_of_the_features_is_far_from_zero_because_the_webui_divides_by_it(tokenizer):
    features = new_text_encoder(tokenizer)(tokenize(tokenizer, ["a harbour at sunset"])).last_hidden_state
    assert float(features.mean()) > 0.3
