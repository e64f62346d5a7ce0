"""The networks compute what their formulas say, and what diffusers makes of the same weights."""

import pytest
import torch
from torch.nn import functional as F
from transformers import CLIPTokenizer

from small_world.autoencoder import Autoencoder
from small_world.checkpoint import Model, load, save
from small_world.norm import GROUPS, Norm
from small_world.schedule import alphas_cumprod, ddim, noised
from small_world.text import tokenize, write_tokenizer
from small_world.train_unet import Painter


@pytest.mark.parametrize("silu", [False, True])
def test_the_normalisation_and_its_gradients_are_pytorchs(silu):
    torch.manual_seed(0)
    norm = Norm(96)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = (torch.randn(2, 96, 5, 7) * 3 + torch.randn(1, 96, 1, 1)).requires_grad_()
    slope = torch.randn(2, 96, 5, 7)
    inputs = (x, norm.weight, norm.bias)
    ours = torch.autograd.grad(norm(x, silu=silu), inputs, slope)
    expected = F.group_norm(x, GROUPS, norm.weight, norm.bias, norm.eps)
    theirs = torch.autograd.grad(F.silu(expected) if silu else expected, inputs, slope)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, atol=2e-4, rtol=1e-4)


def test_rescaling_the_latents_keeps_the_pictures():
    torch.manual_seed(0)
    model = Autoencoder().eval()
    x = torch.rand(2, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        before, log_variance = model.moments(x)
        picture = model.decode(before)
        mean, std = before.mean((0, 2, 3)), before.std((0, 2, 3))
        model.rescale(mean, std)
        after, log_variance_after = model.moments(x)
        torch.testing.assert_close(model.decode(after), picture, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(after.mean((0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(after.std((0, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)
    shift = (log_variance - log_variance_after).mean((0, 2, 3))
    torch.testing.assert_close(shift, 2 * std.log(), atol=1e-3, rtol=1e-3)


def test_an_untrained_autoencoder_already_shows_blurred_colours():
    torch.manual_seed(0)
    colours = torch.rand(1, 3, 4, 4)
    x = F.interpolate(colours * 1.6 - 0.8, size=128, mode="bilinear")
    model = Autoencoder()
    with torch.no_grad():
        y = model.decode(model.moments(x)[0])
    inner = (slice(None), slice(None), slice(16, -16), slice(16, -16))
    assert float((x[inner] - y[inner]).abs().mean()) < 0.5 * float((x[inner] - x[inner].mean()).abs().mean())


def test_the_schedule_is_stable_diffusions():
    alphas = alphas_cumprod()
    assert len(alphas) == 1000
    assert float(alphas[0]) == pytest.approx(1 - 0.00085)
    assert float(alphas[-1]) == pytest.approx(0.0047, abs=5e-5)


def test_ddim_with_the_true_noise_finds_the_clean_latents():
    torch.manual_seed(0)
    clean = torch.randn(1, 4, 4, 4)
    start = noised(clean, torch.randn_like(clean), torch.tensor([999]))
    alphas = alphas_cumprod().float()

    def true_noise(x, times):
        alpha = alphas[times][:, None, None, None]
        return (x - alpha.sqrt() * clean) / (1 - alpha).sqrt()

    torch.testing.assert_close(ddim(true_noise, start, steps=7), clean, atol=1e-4, rtol=1e-4)


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    write_tokenizer(folder / "tokenizer")
    torch.manual_seed(0)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    model = Model(Autoencoder(), Painter(tokenizer), tokenizer)
    for parameter in [*model.painter.parameters(), *model.autoencoder.parameters()]:
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    path = folder / "model.safetensors"
    save(model, path)
    return path


@pytest.mark.filterwarnings("ignore")
def test_diffusers_makes_the_same_of_the_file_as_the_networks_that_were_trained(random_model):
    from lib_instantas.hosts.checkpoints import load_pipeline

    ours, theirs = load(random_model), load_pipeline(random_model)
    torch.manual_seed(1)
    x, times, pictures = torch.randn(2, 4, 32, 32), torch.tensor([500, 20]), torch.rand(1, 3, 64, 64)
    tokens = tokenize(ours.tokenizer, ["a harbour at sunset", ""])
    with torch.no_grad():
        features = ours.painter.text(tokens).last_hidden_state
        torch.testing.assert_close(theirs.text_encoder(tokens)[0], features, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            theirs.unet(x, times, features).sample, ours.painter.unet(x, times, features), atol=1e-4, rtol=1e-4
        )
        encoded = theirs.vae.encode(pictures).latent_dist
        torch.testing.assert_close(encoded.mean, ours.autoencoder.moments(pictures)[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(theirs.vae.decode(x).sample, ours.autoencoder.decode(x), atol=1e-3, rtol=1e-3)
    assert theirs.unet.config.sample_size == 32
