"""Unpacks torch/include and libraries from the wheels in a directory: STORE DIR LIBRARY..."""
import glob
import os
import shutil
import sys
import zipfile


def main(store, directory, *libraries):
    missing = set(libraries) | {"torch/include/"}
    for wheel in glob.glob(os.path.join(glob.escape(store), "*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name in libraries:
                    source, path = name, os.path.join("lib", os.path.basename(name))
                elif name.startswith("torch/include/") and not name.endswith("/"):
                    source, path = "torch/include/", name[len("torch/"):]
                else:
                    continue
                path = os.path.join(directory, path)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(name) as reader, open(path, "wb") as writer:
                    shutil.copyfileobj(reader, writer, 1 << 22)
                missing.discard(source)
    if missing:
        sys.exit("the wheels do not contain %s" % ", ".join(sorted(missing)))


main(*sys.argv[1:])
