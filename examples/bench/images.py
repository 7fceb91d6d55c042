"""Decodes and resizes the images of a directory with torchvision and Pillow in two worker processes. Usage: images.py DIRECTORY.
The peer of `decode_and_resize` in examples/micro/images.rs. Prints one JSON line, also without the normalization to floats."""
import json, pathlib, sys, time
import torch
from PIL import Image, ImageOps
from torchvision import transforms

N_WORKERS, N_PASSES = 2, 3
torch.set_num_threads(1)
resize = [transforms.Resize(256), transforms.CenterCrop(224)]
normalize = [transforms.ToTensor(), transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]


class Images(torch.utils.data.Dataset):
    def __init__(self, paths, steps):
        self.paths, self.transform = paths, transforms.Compose(steps)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            return self.transform(ImageOps.exif_transpose(image).convert("RGB"))


def images_per_second(paths, steps):
    loader = torch.utils.data.DataLoader(Images(paths, steps), batch_size=32, num_workers=N_WORKERS, persistent_workers=True)
    for _ in loader:  # starts the workers, and reads the files into the cache of the system
        pass
    start = time.perf_counter()
    n_images = sum(len(batch) for _ in range(N_PASSES) for batch in loader)
    return n_images / (time.perf_counter() - start)


if __name__ == "__main__":
    paths = sorted(path for path in pathlib.Path(sys.argv[1]).rglob("*") if path.is_file())
    print(json.dumps({
        "n_images": len(paths),
        "images_per_second": images_per_second(paths, resize + normalize),
        "images_per_second_u8": images_per_second(paths, resize + [transforms.PILToTensor()]),
    }))
