import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lib_instantas.conditioning import PADDING, SlotLayout, is_padding, lay_out

LENGTHS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@given(LENGTHS, st.data())
def test_every_slot_holds_its_prompt_and_after_it_its_repetition_or_padding(positive_lengths, data):
    negative_lengths = [data.draw(st.integers(1, 6)) for _ in positive_lengths]
    positive = [torch.randn(3, n, 16) for n in positive_lengths]
    negative = [torch.randn(2, n, 16) for n in negative_lengths]
    (laid_positive, laid_negative), layout = lay_out(positive, negative)
    assert laid_positive.shape == (3, layout.tokens, 16)
    assert laid_negative.shape == (2, layout.tokens, 16)
    for laid, group in ((laid_positive, positive), (laid_negative, negative)):
        for slot, tokens in zip(layout.slots, group, strict=True):
            n = tokens.shape[1]
            assert torch.equal(laid[:, slot][:, :n], tokens)
            assert not is_padding(laid[:, slot][:, :n]).any()
            rest = laid[:, slot][:, n:]
            if rest.shape[1] % n:
                assert is_padding(rest).all()
            else:
                assert torch.equal(rest, tokens.repeat(1, rest.shape[1] // n, 1))
    pairs = [sorted(pair) for pair in zip(positive_lengths, negative_lengths, strict=True)]
    assert layout.padded == tuple(longer % shorter != 0 for shorter, longer in pairs)


def test_a_prompt_encoded_once_serves_every_row():
    (laid,), _ = lay_out([torch.randn(3, 2, 8), torch.ones(1, 2, 8)])
    assert torch.equal(laid[:, 2:], torch.ones(3, 2, 8))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_padding_is_recognised_in_every_precision_and_after_a_change_of_it(dtype):
    (laid, _), _ = lay_out([torch.randn(1, 2, 8)], [torch.randn(1, 5, 8)])
    assert is_padding(laid.to(dtype)).tolist() == [[False, False, True, True, True]]


def test_a_token_weighted_to_nothing_is_no_padding():
    assert not is_padding(torch.zeros(1, 3, 8)).any()


def test_a_mark_taken_from_the_front_shortens_the_first_slot():
    layout = SlotLayout((78, 77), (False, True))
    assert layout.fitted_to(154) == SlotLayout((77, 77), (False, True))
    assert layout.fitted_to(155) == layout


@pytest.mark.parametrize("tokens", [156, 77, 3])
def test_a_conditioning_that_was_not_laid_out_so_is_refused(tokens):
    with pytest.raises(ValueError, match=f"got {tokens} tokens where 155 were laid out"):
        SlotLayout((78, 77), (False, False)).fitted_to(tokens)


@pytest.mark.parametrize(("lengths", "tokens"), [((5, 77), 76), ((5, 77), 77), ((5, 77), 83), ((78, 5), 4)])
def test_no_more_is_taken_from_the_front_than_the_first_slot_holds(lengths, tokens):
    with pytest.raises(ValueError, match=f"got {tokens} tokens where {sum(lengths)} were laid out"):
        SlotLayout(lengths, (False, False)).fitted_to(tokens)
    assert SlotLayout((78, 5), (False, False)).fitted_to(73).lengths == (68, 5)


def test_padding_is_the_least_that_every_precision_holds_without_loss():
    """fp16 has the narrowest range of those that models run in; smaller numbers are flushed to 0 by some devices."""
    assert torch.finfo(torch.float16).smallest_normal == PADDING


@pytest.mark.parametrize("channel", range(8))
def test_a_token_is_padding_only_if_all_its_first_channels_say_so(channel):
    token = torch.full((1, 1, 16), PADDING)
    assert is_padding(token).all()
    token[..., channel] = 0.5
    assert not is_padding(token).any()


def test_a_layout_cannot_be_changed():
    layout = SlotLayout((78, 77), (False, True))
    with pytest.raises(AttributeError, match="cannot assign"):
        layout.lengths = (77, 77)
    assert (layout.tokens, layout.slots) == (155, (slice(0, 78), slice(78, 155)))
