"""Generates the files in `pytorch/`: files of `torch.save`, and safetensors files of the same tensors.

Uses torch 2.13.0, safetensors 0.8.0, Python 3.11: python make_pytorch_files.py
Every file is verified by reading it with PyTorch.
"""

import collections
import pathlib
import pickle
import struct
import zipfile

import torch
from safetensors.torch import save_file
from torch import nn

HERE = pathlib.Path(__file__).parent / "pytorch"

KINDS = [
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int32,
    torch.int64,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
]


def twin(name, tensors):
    """Saves the tensors as safetensors, without shared memory."""
    copies = {key: tensor.detach().clone().contiguous() for key, tensor in tensors.items()}
    save_file(copies, HERE / f"{name}.safetensors")


def equal(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def check(name, tensors, find=lambda loaded: loaded):
    """Checks that PyTorch reads these tensors from the file."""
    loaded = find(torch.load(HERE / name, weights_only=False))
    for key, tensor in tensors.items():
        assert equal(loaded[key].detach(), tensor.detach()), (name, key)


def save(name, tensors, **options):
    torch.save(tensors, HERE / f"{name}.pt", **options)
    check(f"{name}.pt", tensors)


def every_kind():
    values = torch.tensor([[0.0, 1.0, 1.5], [-2.25, 3.0, 100.0]])
    tensors = {str(kind).removeprefix("torch."): values.abs().to(kind) for kind in KINDS}
    tensors["special"] = torch.tensor([float("nan"), float("inf"), -float("inf"), -0.0, 1e-45])
    tensors["scalar"] = torch.tensor(-7.5)
    tensors["empty"] = torch.zeros(0, 4)
    tensors["text:ünï"] = torch.tensor([2**62 + 1, -(2**62)])
    return tensors


def views():
    base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
    return {
        "base": base,
        "transposed": base.t(),
        "rows": base[1:3],
        "columns": base[:, 2:5],
        "every_second": base[::2, 1::2],
        "element": base[3, 5],
        "expanded": base[0, 1:2].expand(3, 4),
        "permuted": torch.arange(12, dtype=torch.int64).reshape(2, 3, 2).permute(2, 0, 1),
        "empty_view": base[4:],
    }


class TextCNN(nn.Module):
    """A model with the parameter names and shapes of FaKnow's TextCNN."""

    def __init__(self):
        super().__init__()
        self.word_embedding = nn.Embedding(10, 4)
        self.text_ccn_layer = nn.Module()
        self.text_ccn_layer.convs = nn.ModuleList([nn.Conv2d(1, 2, (size, 4)) for size in (2, 3)])
        self.classifier = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2))


class Normed(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)

    def forward(self, features):
        return self.norm(self.linear(features))


def repack(source, name, method=zipfile.ZIP_STORED, change=lambda entry, data: data):
    """Copies the archive `source` with another compression method or changed entries."""
    with zipfile.ZipFile(HERE / source) as old, zipfile.ZipFile(HERE / name, "w", method) as new:
        for entry in old.namelist():
            new.writestr(zipfile.ZipInfo(entry), change(entry, old.read(entry)), method)


def big_endian(sizes):
    """Returns a change of entries to those of a big-endian machine; `sizes` are the value sizes of the storages."""

    def change(entry, data):
        if entry.endswith("/byteorder"):
            return b"big"
        if "/data/" not in entry:
            return data
        size = sizes[int(entry.rsplit("/", 1)[1])]
        return b"".join(data[i : i + size][::-1] for i in range(0, len(data), size))

    return change


class Storage:
    def __init__(self, tensor):
        self.tensor = tensor

    def persistent_id(self):
        return ("storage", torch.FloatStorage, str(self.tensor.data_ptr()), "cpu", self.tensor.numel(), None)


class FirstPickler(pickle._Pickler):
    """Writes parameters as PyTorch 0.1 with Python 2 did: byte strings, dicts as lists of pairs, no hooks of tensors."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_byte_string(self, text):
        self.write(pickle.SHORT_BINSTRING + bytes([len(text)]) + text.encode())
        self.memoize(text)

    dispatch[str] = save_byte_string

    def persistent_id(self, value):
        return value.persistent_id() if isinstance(value, Storage) else None

    def reducer_override(self, value):
        if isinstance(value, collections.OrderedDict):
            return collections.OrderedDict, ([list(pair) for pair in value.items()],)
        if isinstance(value, nn.Parameter):
            return nn.Parameter, (value.data,), (True, False, collections.OrderedDict())
        if isinstance(value, torch.Tensor):
            return torch._utils._rebuild_tensor, (Storage(value), 0, tuple(value.shape), value.stride())
        return NotImplemented


def first_pytorch(name, parameters):
    """Saves parameters as the first versions of PyTorch did."""
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    storages = {str(tensor.data_ptr()): tensor for tensor in parameters.values()}
    with open(HERE / name, "wb") as file:
        for value in (0x1950A86A20F9469CFC6C, 1001, system):
            FirstPickler(file, 2).dump(value)
        FirstPickler(file, 2).dump(collections.OrderedDict(parameters))
        FirstPickler(file, 2).dump(list(storages))
        for tensor in storages.values():
            file.write(struct.pack("<q", tensor.numel()) + tensor.detach().numpy().tobytes())
    check(name, parameters)


class Hostile:
    def __reduce__(self):
        import os

        return os.system, ("echo hostile",)


def main():
    HERE.mkdir(exist_ok=True)
    torch.manual_seed(3)

    kinds = every_kind()
    torch.save(kinds, HERE / "kinds.pt")
    loaded = torch.load(HERE / "kinds.pt", weights_only=False)
    assert all(torch.equal(loaded[key].nan_to_num(), kinds[key].nan_to_num()) for key in kinds)
    twin("kinds", kinds)

    save("views", views())
    twin("views", views())

    plain = {"weight": torch.randn(2, 3), "bias": torch.randn(2), "count": torch.tensor([3, 4])}
    twin("plain", plain)
    for protocol in (2, 3, 4, 5):
        save(f"protocol_{protocol}", plain, pickle_protocol=protocol)
    repack("protocol_2.pt", "deflated.pt", zipfile.ZIP_DEFLATED)
    check("deflated.pt", plain)
    repack("protocol_2.pt", "big_endian.pt", change=big_endian([4, 4, 8]))
    check("big_endian.pt", plain)

    save("parameters", {name: nn.Parameter(plain[name]) for name in ("weight", "bias")})
    twin("parameters", {name: plain[name] for name in ("weight", "bias")})

    text_cnn = TextCNN()
    save("textcnn", text_cnn.state_dict())
    twin("textcnn", text_cnn.state_dict())
    save("parallel", nn.DataParallel(text_cnn).state_dict())

    normed = Normed().double()
    normed(torch.randn(5, 3, dtype=torch.float64))
    save("normed", normed.state_dict())
    twin("normed", normed.state_dict())

    optimizer = torch.optim.Adam(normed.parameters(), lr=0.5)
    normed(torch.randn(5, 3, dtype=torch.float64)).square().sum().backward()
    optimizer.step()
    checkpoint = {
        "epoch": 3,
        "best": torch.tensor(0.75),
        "seed": 2**64 - 1,
        "lr": 0.5,
        "done": [True, False, None, (), (1, 2, 3, 4, -5, 70000)],
        "state_dict": normed.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    torch.save(checkpoint, HERE / "wrapped.pt")
    check("wrapped.pt", normed.state_dict(), find=lambda loaded: loaded["state_dict"])
    twin("wrapped", normed.state_dict())

    save("legacy", plain, _use_new_zipfile_serialization=False)
    save("legacy_views", views(), _use_new_zipfile_serialization=False)
    torch.save(checkpoint, HERE / "legacy_wrapped.pt", _use_new_zipfile_serialization=False)
    check("legacy_wrapped.pt", normed.state_dict(), find=lambda loaded: loaded["state_dict"])
    first_pytorch("legacy_first.pt", {name: nn.Parameter(plain[name]) for name in ("weight", "bias")})

    # Files that must be rejected.
    torch.jit.save(torch.jit.script(nn.Linear(2, 1)), HERE / "script.pt")
    torch.save(nn.Linear(2, 1), HERE / "module.pt")
    torch.save({"a": plain["bias"], "b": Hostile()}, HERE / "hostile.pt")
    with open(HERE / "pickle.pt", "wb") as file:
        pickle.dump({"a": [1.0, 2.0]}, file, protocol=4)


main()
