"""Generates the files in `images/`: tiny image encoders with random weights and their outputs.

Uses torch 2.13.0, torchvision 0.28.0, efficientnet_lite_pytorch 0.1.0, safetensors 0.8.0, Python 3.11:
python make_image_encoders.py [EFFICIENTNET_LITE0.pth]
Computed in float64; weights are stored in float32, which is exact. With the file of `cargo xtask encoder efficientnet-lite0`,
`pretrained.safetensors` too: outputs for one image, computed in float32.
"""

import pathlib
import sys

import torch
from efficientnet_lite_pytorch import EfficientNet
from efficientnet_lite_pytorch.utils import BlockArgs, GlobalParams
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet, vgg

HERE = pathlib.Path(__file__).parent / "images"
MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(1, 3, 1, 1)


def thin_resnet(block, width, layers, n_classes):
    """Returns torchvision's ResNet with other widths and numbers of blocks."""
    model = resnet.ResNet(block, [1, 1, 1, 1])
    model.conv1 = nn.Conv2d(3, width, kernel_size=7, stride=2, padding=3, bias=False)
    model.bn1 = nn.BatchNorm2d(width)
    model.inplanes = width
    for i in range(4):
        layer = nn.Identity()
        if i < len(layers):
            layer = model._make_layer(block, width << i, layers[i], stride=1 if i == 0 else 2)
        setattr(model, f"layer{i + 1}", layer)
    model.fc = nn.Linear(model.inplanes, n_classes)
    return model


def thin_vgg(config, batch_norm, grid, hidden, n_classes):
    """Returns torchvision's VGG with other widths."""
    model = vgg.VGG(vgg.make_layers(config, batch_norm=batch_norm), init_weights=False)
    n_channels = [width for width in config if width != "M"][-1]
    model.avgpool = nn.AdaptiveAvgPool2d((grid, grid))
    model.classifier[0] = nn.Linear(n_channels * grid * grid, hidden[0])
    model.classifier[3] = nn.Linear(*hidden)
    model.classifier[6] = nn.Linear(hidden[1], n_classes)
    return model


def thin_efficientnet(size, n_classes):
    """Returns EfficientNet-Lite0 with a few channels."""
    args = [
        BlockArgs(1, 3, 1, 1, 4, 2, None, True),
        BlockArgs(2, 3, 2, 6, 2, 3, None, True),
        BlockArgs(2, 5, 2, 6, 3, 4, None, True),
        BlockArgs(3, 3, 2, 6, 4, 5, None, True),
        BlockArgs(3, 5, 1, 6, 5, 4, None, True),
        BlockArgs(4, 5, 2, 6, 4, 3, None, True),
        BlockArgs(1, 3, 1, 6, 3, 5, None, True),
    ]
    parameters = GlobalParams(
        image_size=size,
        dropout_rate=0.2,
        num_classes=n_classes,
        batch_norm_momentum=0.99,
        batch_norm_epsilon=1e-3,
        relu_fn="relu6",
    )
    model = EfficientNet(args, parameters)
    # The package has no widths for stem and head below 32 and 1280.
    model._conv_stem = type(model._conv_stem)(3, 4, 3, stride=2, image_size=size, bias=False)
    model._bn0 = nn.BatchNorm2d(4, eps=1e-3)
    model._conv_head = type(model._conv_head)(5, 7, 1, image_size=1, bias=False)
    model._bn1 = nn.BatchNorm2d(7, eps=1e-3)
    model._fc = nn.Linear(7, n_classes)
    return model


def randomize(model):
    """Draws all weights so that no activation vanishes or explodes; values of float32, which files hold."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
            if module.bias is not None:
                nn.init.normal_(module.bias, std=0.1)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return model.double().eval()


def regions(feature_map):
    return feature_map.flatten(2).transpose(1, 2)


def outputs_of_resnet(model, x):
    x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
    feature_map = model.layer4(model.layer3(model.layer2(model.layer1(x))))
    pooled = model.avgpool(feature_map).flatten(1)
    return {"regions": regions(feature_map), "pooled": pooled}


def outputs_of_vgg(model, x):
    feature_map = model.features(x)
    first = model.classifier[0](model.avgpool(feature_map).flatten(1))
    second = model.classifier[3](first.relu())
    return {"regions": regions(feature_map), "first_hidden": first.clone(), "second_hidden": second.clone()}


def outputs_of_efficientnet(model, x):
    feature_map = model.extract_features(x)
    return {"regions": regions(feature_map), "pooled": feature_map.mean((2, 3))}


CASES = {
    "resnet_basic": (lambda: thin_resnet(resnet.BasicBlock, 3, [2, 1, 2], 5), outputs_of_resnet, (45, 38)),
    "resnet_bottleneck": (lambda: thin_resnet(resnet.Bottleneck, 2, [1, 2, 1, 1], 3), outputs_of_resnet, (64, 64)),
    "vgg": (lambda: thin_vgg([3, "M", 4, 5, "M", 4, "M"], False, 2, [6, 5], 3), outputs_of_vgg, (40, 33)),
    "vgg_norm": (lambda: thin_vgg([3, 4, "M", 5, "M"], True, 3, [5, 6], 2), outputs_of_vgg, (24, 24)),
    "efficientnet_lite0": (lambda: thin_efficientnet(64, 4), outputs_of_efficientnet, (64, 64)),
}


def main():
    HERE.mkdir(exist_ok=True)
    for seed, (name, (build, outputs, size)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        model = randomize(build())
        pixels = torch.randint(0, 256, (2, 3, *size), dtype=torch.uint8)
        x = (pixels.double() / 255 - MEAN) / STD
        with torch.no_grad():
            # Weights are those of float32.
            model.load_state_dict({key: value.float().double() for key, value in model.state_dict().items()})
            results = {**outputs(model, x), "logits": model(x)}
        assert all(torch.isfinite(value).all() and value.std() > 1e-3 for value in results.values()), name
        tensors = {f"param.{key}": value.float() for key, value in model.state_dict().items()}
        tensors["in.pixels"] = pixels
        tensors |= {f"out.{key}": value.contiguous() for key, value in results.items()}
        save_file({key: value.contiguous() for key, value in tensors.items()}, HERE / f"{name}.safetensors")
    if len(sys.argv) > 1:
        pretrained(sys.argv[1])


def pretrained(path):
    """A smooth pattern, which the test computes, too."""
    model = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path).eval()
    index = torch.arange(3 * 224 * 224).view(1, 3, 224, 224)
    pixels = (index * 7 // 13 % 256).to(torch.uint8)
    x = ((pixels.double() / 255 - MEAN) / STD).float()
    with torch.no_grad():
        feature_map = model.extract_features(x)
        results = {
            "pooled": feature_map.mean((2, 3))[0, :32],
            "logits": model(x)[0, :32],
            "regions": regions(feature_map)[0, 24, :32],
        }
    save_file({f"out.{key}": value.contiguous() for key, value in results.items()}, HERE / "pretrained.safetensors")


main()
