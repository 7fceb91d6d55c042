"""Writes tiny images in many formats, and expected.bin with their pixels by Pillow and torchvision (run with Pillow 13.0, torchvision 0.28).

For each file of manifest.json, expected.bin has u8 [3, 21, 21] twice: Resize(24) on the short side (256 * 21 / 224) and
CenterCrop(21), then Resize((21, 21)). Orientation is applied, transparent pixels are blended over white, 16 bits become 8."""

import io
import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps
from torchvision import transforms

SIZE = 21
HERE = pathlib.Path(__file__).parent
crop = transforms.Compose([transforms.Resize(round(256 * SIZE / 224)), transforms.CenterCrop(SIZE)])
stretch = transforms.Resize((SIZE, SIZE))


def picture(width, height, n_channels=3, seed=0):
    """Smooth color gradients with some rectangles and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / max(width, height)
    values = np.stack([np.sin(3 * x + k) * np.cos(2 * y - k) for k in range(n_channels)], -1) * 100 + 128
    values[height // 4:height // 2, width // 3:width // 2] += 60
    values += rng.normal(0, 4, values.shape)
    return values.clip(0, 255).astype(np.uint8)


def png16(values):
    """Encodes u16 [height, width, 3] as PNG, which Pillow cannot write."""
    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def encode(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def exif(orientation):
    data = Image.Exif()
    data[0x0112] = orientation
    return data.tobytes()


def files():
    rgb = Image.fromarray(picture(50, 41))
    gray = Image.fromarray(picture(45, 60, 1)[..., 0])
    alpha = Image.fromarray(picture(40, 52, 4, seed=1), "RGBA")
    frames = [Image.fromarray(picture(30, 24, seed=s)) for s in range(3)]
    yield "rgb.jpg", encode(rgb, "JPEG", quality=92)
    yield "progressive.jpg", encode(rgb, "JPEG", quality=92, progressive=True, subsampling=0)
    yield "gray.jpg", encode(gray, "JPEG", quality=92)
    yield "cmyk.jpg", encode(Image.fromarray(picture(44, 40, 4), "CMYK"), "JPEG", quality=95)
    for orientation in range(2, 9):
        yield f"orientation{orientation}.jpg", encode(Image.fromarray(picture(46, 36)), "JPEG", quality=92, subsampling=0, exif=exif(orientation))
    yield "orientation6.png", encode(rgb, "PNG", exif=exif(6))
    yield "rgb.png", encode(rgb, "PNG")
    yield "rgba.png", encode(alpha, "PNG")
    yield "gray_alpha.png", encode(alpha.convert("LA"), "PNG")
    yield "palette.png", encode(rgb.quantize(16), "PNG", transparency=3)
    yield "two_colors.png", encode(gray.convert("1"), "PNG")
    yield "gray16.png", encode(Image.fromarray(picture(40, 40, 1)[..., 0].astype(np.uint16) * 256 + 77), "PNG")
    yield "rgb16.png", png16(picture(38, 40).astype(np.uint16) * 256 + 31)
    yield "small.png", encode(Image.fromarray(picture(5, 3)), "PNG")
    yield "wide.png", encode(Image.fromarray(picture(150, 19)), "PNG")
    yield "animated.gif", encode(frames[0].quantize(32), "GIF", save_all=True, append_images=[f.quantize(32) for f in frames[1:]])
    yield "transparent.gif", encode(rgb.quantize(16), "GIF", transparency=5)
    yield "lossy.webp", encode(rgb, "WEBP", quality=90)
    yield "alpha.webp", encode(alpha, "WEBP", lossless=True)
    yield "animated.webp", encode(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)


def to_rgb(name, data):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if name == "gray16.png":
        return Image.fromarray((np.asarray(image) // 256).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")


names, expected = [], b""
for name, data in files():
    (HERE / name).write_bytes(data)
    rgb = to_rgb(name, data)
    for transform in (crop, stretch):
        expected += np.asarray(transform(rgb)).transpose(2, 0, 1).tobytes()
    names.append(name)
(HERE / "manifest.json").write_text(json.dumps({"size": SIZE, "files": names}, indent=1) + "\n")
(HERE / "expected.bin").write_bytes(expected)
