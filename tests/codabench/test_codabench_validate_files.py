"""Every rule about the files of a bundle: planted once, found in a folder and in a zip."""

import gzip
import io
import json
import random
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from codabench_goodbundle import SCORE, Bundle, images, labels, names_of, zip_bytes
from codabench_minibundle import PNG, picture
from PIL import Image

from mimicry.codabench.validation import context as context_module
from mimicry.codabench.validation import data as data_module
from mimicry.codabench.validation import source as source_module
from mimicry.codabench.validation.finding import Finding
from mimicry.codabench.validation.report import Report, validate_bundle

Change = Callable[[Bundle], None]

LABELS = labels("val")
ROWS = LABELS.decode().splitlines()[1:]
VAL = "input_data/val.zip"
SCORING = "programs/scoring_program"
INGESTION = "programs/ingestion_program"


def several(*changes: Change) -> Change:
    def change(bundle: Bundle) -> None:
        for one in changes:
            one(bundle)

    return change


def write(name: str, data: bytes | str | None) -> Change:
    def change(bundle: Bundle) -> None:
        if data is None:
            del bundle.files[name]
        else:
            bundle.files[name] = data.encode() if isinstance(data, str) else data

    return change


def page(line: str) -> Change:
    return write("pages/data.md", f"# Data\n\n{line}\n")


def image(kind: str, size: tuple[int, int] = (4, 4)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(buffer, kind)
    return buffer.getvalue()


def with_input(extra: dict[str, bytes], name: str = VAL) -> Change:
    """Add members to the input data."""
    return write(name, zip_bytes({**images("val"), **extra}))


def command(line: str, program: str = SCORING) -> Change:
    return write(f"{program}/metadata.yaml", f"command: {line}\n")


def named(key: str, path: str, files: dict[str, bytes]) -> Change:
    """Name `path` as the first task's `key`, with these files."""

    def change(bundle: Bundle) -> None:
        bundle.document["tasks"][0][key] = path
        bundle.files.update(files)

    return change


def phase(key: str, path: str, data: bytes) -> Change:
    def change(bundle: Bundle) -> None:
        bundle.document["phases"][0][key] = path
        bundle.files[path] = data

    return change


def column(**changed: object) -> Change:
    return lambda bundle: bundle.document["leaderboards"][0]["columns"][1].update(changed)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG with one more chunk before its pixels."""
    at = PNG.index(b"IDAT") - 4
    return PNG[:at] + png_chunk(kind, body) + PNG[at:]


def damaged(data: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.infolist()[0]
    at = info.header_offset + 30 + len(info.filename) + 4
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def encrypted(data: bytes) -> bytes:
    """Set the flag of encryption on every entry."""
    flagged = bytearray(data)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = flagged.find(magic)
        while at >= 0:
            flagged[at + offset] |= 1
            at = flagged.find(magic, at + 4)
    return bytes(flagged)


def lzma_zip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_LZMA) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def inside(folder: str, members: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in members.items()}


IMAGES = images("val")
REFERENCE = zip_bytes({"val.csv": LABELS})
TSV = "\n".join(row.replace(",", "\t") for row in ROWS)
TURNED = "\n".join(",".join(reversed(row.split(","))) for row in ROWS)
AS_JSON = json.dumps({row.split(",")[0]: row.split(",")[1:] for row in ROWS})
AS_RECORDS = json.dumps([{"l": row.split(",")[1:], "n": row.split(",")[0]} for row in ROWS])
AS_COLUMNS = json.dumps(
    dict(zip("abc", map(list, zip(*(r.split(",") for r in ROWS), strict=True)), strict=True))
)

NAMES = names_of("val")
HYBRID = [row.split(",")[1] == "1" for row in ROWS]
STEMS = [name.removesuffix(".png") for name in NAMES]


def beside(line: str, words: tuple[object, object] = (0, 1), header: str = "") -> bytes:
    """Return a line for each image, with its name, its stem and a word for its label."""
    lines = [
        line.format(name=name, stem=stem, label=words[hybrid])
        for name, stem, hybrid in zip(NAMES, STEMS, HYBRID, strict=True)
    ]
    return "\n".join([header, *lines] if header else lines).encode()


def as_dict(label: Callable[[bool], object] = int) -> str:
    return repr({name: label(hybrid) for name, hybrid in zip(NAMES, HYBRID, strict=True)})


HYBRIDS = [name for name, hybrid in zip(NAMES, HYBRID, strict=True) if hybrid]
SORTED = {f"{('no', 'yes')[h]}/{n}": IMAGES[n] for n, h in zip(NAMES, HYBRID, strict=True)}
PREFIXED = {f"{('n', 'h')[h]}_{n}": IMAGES[n] for n, h in zip(NAMES, HYBRID, strict=True)}
NOTEBOOK = json.dumps(
    {"cells": [{"source": [f"{row.rpartition(',')[0]}\n" for row in ROWS], "cell_type": "raw"}]}
)

# Labels of one column alone: how they are written, the change, the file that tells them.
TELLING: list[tuple[str, Change, str]] = [
    (name, with_input({file: data}), f"{VAL}:{file}")
    for name, file, data in (
        ("numbers", "l.csv", beside("{name},{label}")),
        ("with a header", "l.csv", beside("{name},{label}", header="image,y")),
        ("stems", "l.csv", beside("{stem},{label}")),
        ("folders", "l.txt", beside("images/{name} {label}")),
        ("capitals", "l.txt", beside("{name}\t{label}").upper()),
        ("truth", "l.csv", beside("{name};{label}", (False, True))),
        ("floats", "l.csv", beside("{label},{name}", ("0.0", "1.0"))),
        ("words", "l.csv", beside("{label},{name}", ("pure", "hybrid"))),
        ("codes", "l.csv", beside("{name},7,{label},x", ("q", "zz"))),
        ("yaml", "l.yaml", beside("{name}: {label}")),
        ("mapping", "l.json", json.dumps(json.loads(as_dict().replace("'", '"'))).encode()),
        ("swapped", "l.csv", beside("{name},{label}", (1, 0))),
        ("ten of them", "l.csv", b"\n".join(beside("{name},{label}").split(b"\n")[:10])),
        ("packed", "l.csv.gz", gzip.compress(beside("{name},{label}"))),
        ("hybrids", "h.txt", "\n".join(HYBRIDS).encode()),
        ("two lists", "h.json", json.dumps({"a": HYBRIDS, "b": NAMES}).encode()),
        (
            "columns",
            "c.json",
            json.dumps({"file": NAMES, "value": [int(h) for h in HYBRID]}).encode(),
        ),
        ("group", "g.csv", b"\n".join(r.encode()[:-7] + r[-5:].encode() for r in ROWS)),
    )
]
TELLING += [
    (
        "literal",
        write(f"{INGESTION}/ingestion.py", f"X = {as_dict()}\n"),
        f"{INGESTION}:ingestion.py",
    ),
    (
        "set",
        write(f"{INGESTION}/ingestion.py", f"X = {set(HYBRIDS)!r}\n"),
        f"{INGESTION}:ingestion.py",
    ),
    ("notebook", write("downloads/kit/a.ipynb", NOTEBOOK), "downloads/kit:a.ipynb"),
    (
        "public",
        phase("public_data", "downloads/p.csv", beside("{name},{label}")),
        "downloads/p.csv",
    ),
    ("page", page(beside("* {name} {label}").decode()), "pages/data.md"),
    ("sorted into folders", write(VAL, zip_bytes(SORTED)), VAL),
    ("prefixes", write(VAL, zip_bytes(PREFIXED)), VAL),
]

# What is planted, the change, code, file, a part of what the platform says or does.
PLANTED: list[tuple[str, Change, str, str, str]] = [
    # The logo
    (
        "no logo",
        write("logo.png", None),
        "image-missing",
        "competition.yaml",
        "Unable to find image: logo",
    ),
    (
        "svg",
        write("logo.png", "<svg xmlns='x'/>"),
        "image-invalid",
        "competition.yaml",
        "upload a valid",
    ),
    (
        "text logo",
        write("logo.png", "x"),
        "image-invalid",
        "competition.yaml",
        "upload a valid image",
    ),
    (
        "empty logo",
        write("logo.png", b""),
        "image-invalid",
        "competition.yaml",
        "upload a valid image",
    ),
    (
        "cut logo",
        write("logo.png", PNG[:40]),
        "image-invalid",
        "competition.yaml",
        "upload a valid",
    ),
    (
        "bmp",
        write("logo.png", image("BMP")),
        "image-format",
        "competition.yaml",
        "type of the image",
    ),
    (
        "tiff",
        write("logo.png", image("TIFF")),
        "image-format",
        "competition.yaml",
        "couldn't be det",
    ),
    (
        "flat",
        write("logo.png", image("PNG", (300, 2))),
        "image-flat",
        "competition.yaml",
        "must be > 0",
    ),
    # Pages
    (
        "no page",
        write("pages/data.md", None),
        "page-missing",
        "competition.yaml",
        "Unable to find page: pages/d",
    ),
    (
        "no terms",
        write("pages/terms.md", None),
        "page-missing",
        "competition.yaml",
        "Unable to find page: pages/t",
    ),
    (
        "empty page",
        write("pages/data.md", ""),
        "page-empty",
        "competition.yaml",
        "Page 'pages/data.md' is empty, it",
    ),
    (
        "empty terms",
        write("pages/terms.md", b""),
        "page-empty",
        "competition.yaml",
        '"pages/terms.md is empty, it',
    ),
    (
        "latin page",
        write("pages/data.md", b"caf\xe9\n"),
        "page-encoding",
        "competition.yaml",
        "decoder",
    ),
    ("local image", page("![x](figures/x.png)"), "page-image", "pages/data.md", "broken image"),
    (
        "local html image",
        page('<img width=3 src="x.png">'),
        "page-image",
        "pages/data.md",
        "broken",
    ),
    *(
        (f"local {name}", page(line), "page-image", "pages/data.md", "broken image")
        for name, line in (
            ("capitals", "<IMG SRC='figures/x.png'>"),
            ("second line", "<img alt='x'\n  src='figures/x.png'>"),
            ("video", "<video controls src='x.mp4'></video>"),
            ("poster", "<video poster='x.png'></video>"),
            ("style", "<div style=\"background: url('x.png')\">a</div>"),
            ("by name", "![a][b]\n\n[b]: figures/x.png"),
            ("by its own name", "![The wing]\n\n[the  wing]: figures/x.png"),
            ("empty name", "![The wing][]\n\n[the wing]: figures/x.png"),
        )
    ),
    *(
        (f"script with {text}", write(f"{place}/{file}", f"A = {text!r}\n"), code, where, words)
        for place, file, text, code, words in (
            (
                SCORING,
                "more.py",
                "/app/input_data/x.csv",
                "script-absent-folder",
                "ingestion alone",
            ),
            (SCORING, "more.py", "/app/output/metadata", "output-metadata", "already contains"),
            (INGESTION, "ingestion.py", "/app/input/ref", "script-absent-folder", "scoring alone"),
            (INGESTION, "ingestion.py", "/app/output//metadata", "output-metadata", "Bad or empty"),
        )
        for where in (f"{place}/{file}",)
    ),
    (
        "two metadata files",
        write(f"{SCORING}/metadata", "command: python3 other.py\n"),
        "metadata-twice",
        f"{SCORING}/metadata",
        "ignores this file",
    ),
    ("local link", page("[the terms](terms.md)"), "page-link", "pages/data.md", "nowhere"),
    ("defined link", page("[terms]: terms.md"), "page-link", "pages/data.md", "nowhere"),
    (
        "prices",
        page("The prizes are $500 and $300."),
        "page-dollars",
        "pages/data.md",
        "as a formula",
    ),
    # Data
    (
        "no data",
        write(VAL, None),
        "dataset-missing",
        "competition.yaml",
        'Cannot find dataset: "input_data/val.zip"',
    ),
    (
        "no reference",
        write("reference_data/val.zip", None),
        "dataset-missing",
        "competition.yaml",
        "Cannot find dataset",
    ),
    (
        "no program",
        lambda b: b.document["tasks"][0].update(scoring_program="programs/s"),
        "dataset-missing",
        "competition.yaml",
        'Cannot find dataset: "programs/s"',
    ),
    (
        "no kit",
        lambda b: b.document["phases"][0].update(starting_kit="kit.zip"),
        "dataset-missing",
        "competition.yaml",
        'Cannot find dataset: "kit.zip"',
    ),
    (
        "no solution",
        write("solutions/one.zip", None),
        "dataset-missing",
        "competition.yaml",
        'Cannot find dataset: "solutions/one.zip"',
    ),
    (
        "no zip",
        write(VAL, "not a zip at all"),
        "data-no-zip",
        "competition.yaml",
        "Bad or empty zip file",
    ),
    (
        "cut zip",
        lambda b: write(VAL, b.files[VAL][:-30])(b),
        "data-no-zip",
        "competition.yaml",
        "about 3 minutes",
    ),
    (
        "bare file",
        named("input_data", "input_data/val", {"input_data/val": b"x"}),
        "data-bare-file",
        "competition.yaml",
        "Bad or empty zip file",
    ),
    (
        "bare csv",
        named("reference_data", "reference_data/ref.csv", {"reference_data/ref.csv": LABELS}),
        "data-bare-file",
        "competition.yaml",
        "Bad or empty zip file",
    ),
    (
        "bare program",
        named("scoring_program", "programs/score.py", {"programs/score.py": b"x"}),
        "program-bare-file",
        "competition.yaml",
        "Bad or empty zip file",
    ),
    (
        "empty zip",
        write(VAL, zip_bytes({})),
        "data-empty",
        "competition.yaml",
        "Bad or empty zip file",
    ),
    (
        "top folder",
        write(VAL, zip_bytes(inside("val", IMAGES))),
        "data-top-folder",
        VAL,
        "/app/input_data/val/",
    ),
    (
        "reference folder",
        write("reference_data/val.zip", zip_bytes({"r/val.csv": LABELS})),
        "data-top-folder",
        "reference_data/val.zip",
        "/app/input/ref/r/",
    ),
    (
        "clutter",
        with_input({"__MACOSX/._a.png": b"x", ".DS_Store": b"x"}),
        "data-clutter",
        VAL,
        "Ships it",
    ),
    (
        "locked",
        lambda b: write(VAL, encrypted(b.files[VAL]))(b),
        "data-encrypted",
        VAL,
        "Bad or empty zip file",
    ),
    ("lzma", write(VAL, lzma_zip(IMAGES)), "data-method", VAL, "Python can"),
    ("backslash", with_input({"a\\b.png": PNG}), "data-paths", VAL, "part of a name"),
    ("climbing", with_input({"../../b.png": PNG}), "data-paths", VAL, "elsewhere"),
    (
        "damaged",
        lambda b: write(VAL, damaged(b.files[VAL]))(b),
        "data-damaged",
        VAL,
        "Bad or empty zip file",
    ),
    (
        "root folder",
        named("input_data", "images", inside("images", IMAGES)),
        "folder-at-root",
        "competition.yaml",
        "temporary folder that all bundles share",
    ),
    (
        "long name",
        phase("starting_kit", "downloads/" + "k" * 36 + ".zip", zip_bytes({"a": b"x"})),
        "name-cut",
        "competition.yaml",
        "k" * 35 + ".zip",
    ),
    # Programs
    (
        "no metadata",
        write(f"{SCORING}/metadata.yaml", None),
        "program-metadata",
        SCORING,
        "Could not find scores file, did the scoring program output it?",
    ),
    (
        "no ingestion metadata",
        write(f"{INGESTION}/metadata.yaml", None),
        "program-metadata",
        INGESTION,
        "says nothing, and scores",
    ),
    (
        "list",
        write(f"{SCORING}/metadata.yaml", "- command: python3 score.py\n"),
        "program-metadata",
        f"{SCORING}/metadata.yaml",
        "Could not find scores file",
    ),
    (
        "no yaml",
        write(f"{SCORING}/metadata.yaml", "a: [\n"),
        "program-metadata",
        f"{SCORING}/metadata.yaml",
        "Could not find scores file",
    ),
    (
        "no command",
        write(f"{SCORING}/metadata.yaml", "description: x\n"),
        "program-metadata",
        f"{SCORING}/metadata.yaml",
        "Does not run it",
    ),
    (
        "command list",
        write(f"{SCORING}/metadata.yaml", "command: [python3, score.py]\n"),
        "program-metadata",
        f"{SCORING}/metadata.yaml",
        "Does not run it",
    ),
    (
        "metadata folder",
        several(
            write(f"{SCORING}/metadata.yaml", None),
            write(f"{SCORING}/s/metadata.yaml", "command: x"),
        ),
        "program-metadata",
        SCORING,
        "Does not run it",
    ),
    (
        "quotes",
        command('"python3 \'/app/program/score.py"'),
        "command-quotes",
        f"{SCORING}/metadata.yaml",
        "start",
    ),
    (
        "and",
        command("python3 score.py && ls"),
        "command-shell",
        f"{SCORING}/metadata.yaml",
        "as an argument",
    ),
    (
        "pipe",
        command("'python3 score.py | tee log'"),
        "command-shell",
        f"{SCORING}/metadata.yaml",
        "as an argument",
    ),
    (
        "redirect",
        command("'python3 score.py > log'"),
        "command-shell",
        f"{SCORING}/metadata.yaml",
        "argument",
    ),
    (
        "variable",
        command("python3 score.py $HOME"),
        "command-variable",
        f"{SCORING}/metadata.yaml",
        "argument",
    ),
    (
        "home",
        command("python3 score.py ~/x"),
        "command-variable",
        f"{SCORING}/metadata.yaml",
        "argument",
    ),
    (
        "glob",
        command("'python3 score.py /app/input/*.csv'"),
        "command-glob",
        f"{SCORING}/metadata.yaml",
        "argument",
    ),
    (
        "cd",
        command("cd /app/program"),
        "command-builtin",
        f"{SCORING}/metadata.yaml",
        "Cannot start",
    ),
    (
        "assignment",
        command("A=1 python3 score.py"),
        "command-builtin",
        f"{SCORING}/metadata.yaml",
        "Cannot start",
    ),
    (
        "dot slash",
        several(write(f"{SCORING}/run.sh", "ls"), command("./run.sh")),
        "command-not-executable",
        f"{SCORING}/metadata.yaml",
        "executable bits",
    ),
    (
        "script alone",
        command("score.py"),
        "command-not-executable",
        f"{SCORING}/metadata.yaml",
        "executable bits",
    ),
    (
        "program path",
        command("/app/program/score.py"),
        "command-not-executable",
        f"{SCORING}/metadata.yaml",
        "executable",
    ),
    (
        "wrong script",
        command("python3 /app/program/scores.py"),
        "command-missing-file",
        f"{SCORING}/metadata.yaml",
        "Child task failed or non-zero return code",
    ),
    (
        "wrong relative",
        command("python3 src/score.py"),
        "command-missing-file",
        f"{SCORING}/metadata.yaml",
        "Child task failed",
    ),
    (
        "wrong ingestion",
        command("python3 /app/program/x.py", INGESTION),
        "command-missing-file",
        f"{INGESTION}/metadata.yaml",
        "scoring runs all the same",
    ),
    (
        "no script",
        command("my-scorer /app/input /app/output"),
        "command-no-script",
        f"{SCORING}/metadata.yaml",
        "image has",
    ),
    (
        "absent in scoring",
        command("python3 score.py /app/input_data /app/output"),
        "command-absent-folder",
        f"{SCORING}/metadata.yaml",
        "/app/shared",
    ),
    (
        "absent folder",
        command("python3 score.py /app/labels"),
        "command-absent-folder",
        f"{SCORING}/metadata.yaml",
        "/app/input, /app/output",
    ),
    (
        "absent in ingestion",
        command("python3 ingestion.py /app/input/ref", INGESTION),
        "command-absent-folder",
        f"{INGESTION}/metadata.yaml",
        "/app/input_data",
    ),
    (
        "syntax",
        write(f"{INGESTION}/ingestion.py", "import os\ndef f(:\n"),
        "script-syntax",
        f"{INGESTION}/ingestion.py",
        "ends with an error",
    ),
    (
        "singular",
        write(f"{SCORING}/score.py", "open('score.json', 'w')\n"),
        "score-file-name",
        f"{SCORING}/score.py",
        "scores.json or scores.txt alone",
    ),
    # Columns
    (
        "column nobody writes",
        column(key="accuracy"),
        "column-never-written",
        "competition.yaml",
        '"n/a"',
    ),
    (
        "value without column",
        write(f"{SCORING}/score.py", SCORE.replace('"score": 0.5', '"score": 0.5, "extra": 1')),
        "score-without-column",
        "competition.yaml",
        "shows it nowhere",
    ),
    (
        "computed and written",
        column(computation="avg", computation_indexes=[0, 2]),
        "computed-and-written",
        "competition.yaml",
        "500",
    ),
    # Labels in the open
    (
        "reference as input",
        lambda b: b.document["tasks"][0].update(input_data="reference_data/val.zip"),
        "reference-as-input",
        "competition.yaml",
        "hands out",
    ),
    (
        "reference as kit",
        phase("starting_kit", "reference_data/val.zip", REFERENCE),
        "reference-as-input",
        "competition.yaml",
        "hands out",
    ),
    ("table in input", with_input({"labels.csv": LABELS}), "leak-file", VAL, "hands out"),
    (
        "table under another name",
        with_input({"weights.bin": LABELS}),
        "leak-file",
        VAL,
        "hands out",
    ),
    (
        "table in ingestion",
        write(f"{INGESTION}/data/t.csv", LABELS),
        "leak-file",
        INGESTION,
        "hands out",
    ),
    (
        "other task's table",
        with_input({"test.csv": labels("test")}),
        "leak-file",
        VAL,
        "hands out",
    ),
    (
        "table as public data",
        phase("public_data", "downloads/x.csv", LABELS),
        "leak-file",
        "downloads/x.csv",
        "hands out",
    ),
    (
        "table in the kit",
        write("downloads/kit/a.csv", LABELS),
        "leak-file",
        "downloads/kit",
        "hands out",
    ),
    (
        "zip in the kit",
        write("downloads/kit/a.zip", REFERENCE),
        "leak-file",
        "downloads/kit:a.zip",
        "hands out",
    ),
    (
        "one row",
        with_input({"notes.txt": b"see\n" + ROWS[4].encode() + b"\n"}),
        "leak-rows",
        f"{VAL}:notes.txt",
        "hands out",
    ),
    ("a row on a page", page(ROWS[0]), "leak-rows", "pages/data.md", "hands out"),
    (
        "rows with tabs",
        with_input({"t.tsv": TSV.encode()}),
        "leak-rows",
        f"{VAL}:t.tsv",
        "hands out",
    ),
    (
        "rows turned",
        with_input({"t.csv": TURNED.encode()}),
        "leak-rows",
        f"{VAL}:t.csv",
        "hands out",
    ),
    (
        "rows as JSON",
        with_input({"t.json": AS_JSON.encode()}),
        "leak-rows",
        f"{VAL}:t.json",
        "hands out",
    ),
    (
        "rows as records",
        with_input({"t.json": AS_RECORDS.encode()}),
        "leak-rows",
        f"{VAL}:t.json",
        "hands out",
    ),
    (
        "rows as columns",
        with_input({"t.json": AS_COLUMNS.encode()}),
        "leak-rows",
        f"{VAL}:t.json",
        "hands out",
    ),
    (
        "rows in code",
        write(f"{INGESTION}/ingestion.py", f'X = """\n{TSV}\n"""\n'),
        "leak-rows",
        f"{INGESTION}:ingestion.py",
        "hands out",
    ),
    (
        "wide text",
        with_input({"t.txt": LABELS.decode().encode("utf-16")}),
        "leak-rows",
        f"{VAL}:t.txt",
        "hands out",
    ),
    (
        "behind an image",
        with_input({names_of("val")[3]: PNG + LABELS}),
        "leak-hidden",
        f"{VAL}:{names_of('val')[3]}",
        "hands out",
    ),
    (
        "behind a jpeg",
        with_input({"x.jpg": image("JPEG") + LABELS}),
        "leak-hidden",
        f"{VAL}:x.jpg",
        "hands out",
    ),
    (
        "behind a webp",
        with_input({"x.webp": image("WEBP") + LABELS}),
        "leak-hidden",
        f"{VAL}:x.webp",
        "hands out",
    ),
    (
        "in a gif",
        with_input({"x.gif": image("GIF") + LABELS}),
        "leak-hidden",
        f"{VAL}:x.gif",
        "hands out",
    ),
    (
        "in a text chunk",
        with_input({"x.png": with_chunk(b"tEXt", b"Comment\0" + LABELS)}),
        "leak-hidden",
        f"{VAL}:x.png",
        "hands out",
    ),
    (
        "in a packed chunk",
        with_input({"x.png": with_chunk(b"zTXt", b"C\0\0" + zlib.compress(LABELS))}),
        "leak-hidden",
        f"{VAL}:x.png",
        "hands out",
    ),
    ("in the logo", write("logo.png", PNG + LABELS), "leak-hidden", "logo.png", "hands out"),
    (
        "archive behind an image",
        with_input({"x.png": PNG + REFERENCE}),
        "hidden-archive",
        f"{VAL}:x.png",
        "hands out",
    ),
]

FOLLOWING = {
    "zip in the kit": {"kit-leftovers"},
    "computed and written": {"computed-column"},
    "metadata folder": set[str](),
    "reference as input": set[str](),
    "lzma": set[str](),
    "singular": set[str](),
    "list": set[str](),
    "one row": set[str](),
    "in a gif": set[str](),
    "home": set[str](),
    "cd": {"command-no-script"},
    "script alone": {"command-no-script"},
    "program path": {"command-no-script"},
    "dot slash": {"command-no-script"},
    "quotes": set[str](),
    "column nobody writes": {"score-without-column"},
}
WARNINGS = {
    *("page-link", "page-dollars", "data-top-folder", "data-clutter", "data-method", "name-cut"),
    *("folder-at-root", "command-no-script", "command-absent-folder", "script-syntax"),
    *("score-file-name", "score-without-column", "hidden-archive"),
    *("script-absent-folder", "metadata-twice"),
}


def validated(bundle: Bundle, folder: Path, *, zipped: bool) -> Report:
    path = bundle.as_zip(folder) if zipped else bundle.as_folder(folder / "bundle")
    return validate_bundle(path)


def only(report: Report, code: str) -> Finding:
    found = [finding for finding in report.findings if finding.code == code]
    assert len(found) == 1, report.findings
    return found[0]


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("name", "change", "code", "file", "platform"), PLANTED, ids=[p[0] for p in PLANTED]
)
def test_what_is_planted_is_found(
    tmp_path: Path, name: str, change: Change, code: str, file: str, platform: str, zipped: bool
) -> None:
    bundle = Bundle()
    change(bundle)
    report = validated(bundle, tmp_path, zipped=zipped)
    finding = only(report, code)
    assert finding.file == file
    assert platform in finding.platform
    assert {one.code for one in report.findings} - {code} <= FOLLOWING.get(name, set())
    assert finding.level == ("warning" if code in WARNINGS else "error")
    assert finding.problem and finding.mend
    if file == "competition.yaml":
        assert finding.line is not None and finding.key
        last = finding.key.rpartition(".")[2]
        assert f"{last}:" in bundle.yaml().decode().splitlines()[finding.line - 1]


def test_a_script_in_a_folder_that_is_not_mounted(tmp_path: Path) -> None:
    bundle = Bundle()
    command("python3 /app/scoring_program/score.py /app/input /app/output")(bundle)
    report = validated(bundle, tmp_path, zipped=True)
    assert only(report, "command-absent-folder").level == "error"


def test_many_faults_are_planted() -> None:
    assert len(PLANTED) > 80
    assert len({name for name, *_ in PLANTED}) == len(PLANTED)


@pytest.mark.parametrize(
    ("name", "change", "line"),
    [
        ("page", page("![x](figures/x.png)"), 3),
        ("row", page(ROWS[0]), 3),
        ("syntax", write(f"{INGESTION}/ingestion.py", "import os\ndef f(:\n"), 2),
        ("command", write(f"{SCORING}/metadata.yaml", "a: 1\ncommand: python3 x.py\n"), 2),
        ("score", write(f"{SCORING}/score.py", "\n\nopen('score.json')\n"), 3),
    ],
)
def test_lines_of_other_files(tmp_path: Path, name: str, change: Change, line: int) -> None:
    bundle = Bundle()
    change(bundle)
    (finding,) = validated(bundle, tmp_path, zipped=False).findings
    assert finding.line == line


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(("change", "file"), [t[1:] for t in TELLING], ids=[t[0] for t in TELLING])
def test_one_column_of_labels_is_found(
    tmp_path: Path, change: Change, file: str, zipped: bool
) -> None:
    bundle = Bundle()
    change(bundle)
    report = validated(bundle, tmp_path, zipped=zipped)
    (finding,) = (f for f in report.findings if f.code != "data-top-folder")
    assert finding.code == ("leak-paths" if file == VAL else "leak-labels")
    assert finding.file == file and finding.level == "error"
    assert "reference_data/val.zip:val.csv" in finding.problem


def test_many_dumps_take_no_time(tmp_path: Path) -> None:
    bundle = Bundle()
    bundle.files[f"{SCORING}/score.py"] = b"import json\nd={}\n" + b"json.dump(d,f)\n" * 8000
    start = time.perf_counter()
    assert validated(bundle, tmp_path, zipped=True).findings == ()
    assert time.perf_counter() - start < 5


CHANCE = random.Random(3)
GOOD: list[tuple[str, Change]] = [
    (
        "scripts that name what is there",
        several(
            write(
                f"{SCORING}/more.py", "A = '/app/input/ref/x.csv', '/app/output/metadata.json'\n"
            ),
            write(f"{INGESTION}/ingestion.py", "# not /app/input/ref\nA = '/app/input_data'\n"),
        ),
    ),
    (
        "the same metadata twice",
        lambda b: b.files.update({f"{SCORING}/metadata": b.files[f"{SCORING}/metadata.yaml"]}),
    ),
    (
        "a page of results",
        several(
            lambda b: b.document.update(enable_detailed_results=True),
            write(f"{SCORING}/more.py", "A = 'detailed_results.html'\n"),
        ),
    ),
    ("video on the web", page("<video\nsrc='https://example.org/x.mp4'></video>")),
    ("image by name", page("![a][b]\n\n[b]: https://example.org/x.png")),
    ("less than", page("If a <b, it is $5\nor $6.")),
    (
        "random scores",
        with_input({"s.csv": "\n".join(f"{n},{CHANCE.random()}" for n in NAMES).encode()}),
    ),
    ("constant scores", with_input({"s.csv": beside("{name},0.5", header="filename,score")})),
    (
        "random answers",
        with_input({"s.csv": "\n".join(f"{n},{i // 5 % 2}" for i, n in enumerate(NAMES)).encode()}),
    ),
    (
        "halves",
        write(VAL, zip_bytes({f"{i // 6}/{n}": IMAGES[n] for i, n in enumerate(NAMES)})),
    ),
    ("some names", with_input({"few.txt": "\n".join(NAMES[:6]).encode()})),
    (
        "names in code",
        write(f"{INGESTION}/ingestion.py", f"X = {NAMES!r}\nY = {dict.fromkeys(NAMES, 1)!r}\n"),
    ),
    (
        "sizes and sums",
        with_input(
            {
                "m.csv": "\n".join(
                    f"{n},{i * 37},{i % 5}" for i, n in enumerate(NAMES[::-1])
                ).encode()
            }
        ),
    ),
    ("jpeg", write("logo.png", image("JPEG"))),
    ("gif", write("logo.png", image("GIF"))),
    ("webp", write("logo.png", image("WEBP"))),
    ("wide", write("logo.png", image("PNG", (200, 2)))),
    ("folders of data", named("input_data", "input_data/val", inside("input_data/val", IMAGES))),
    (
        "folder of labels",
        named("reference_data", "reference_data/v.1", {"reference_data/v.1/val.csv": LABELS}),
    ),
    (
        "a program as a zip",
        named(
            "scoring_program",
            "programs/s.zip",
            {
                "programs/s.zip": zip_bytes(
                    {"metadata": b"command: python3 score.py\n", "score.py": SCORE.encode()}
                )
            },
        ),
    ),
    ("relative script", command("python3 score.py /app/input /app/output")),
    ("legacy variables", command("python3 $program/score.py $input $output")),
    ("options", command("python3 -u -B score.py --level 3")),
    ("module", command("python3 -m score /app/input")),
    (
        "shell script",
        several(write(f"{SCORING}/run.sh", "x"), command("sh run.sh")),
    ),
    (
        "metadata without ending",
        lambda b: b.files.update({f"{SCORING}/metadata": b.files.pop(f"{SCORING}/metadata.yaml")}),
    ),
    ("kit as a zip", phase("starting_kit", "downloads/kit.zip", zip_bytes({"a.py": b"x = 1"}))),
    ("kit of any type", phase("starting_kit", "downloads/kit.7z", b"7z\xbc\xaf\x27\x1c")),
    ("unreadable scorer", write(f"{SCORING}/score.py", "import mine\nmine.write('scores.json')\n")),
    ("formula", page("If $x^2$ and $5 \\times 3$, then $$y = 7$$ and 1 $.")),
    ("html", page("<img src='https://example.org/x.png'> <a href='#top'>up</a>")),
    ("data uri", page("![x](data:image/png;base64,AAAA)")),
    ("names of the input", with_input({"names.txt": "\n".join(names_of("val")).encode()})),
    (
        "other labels",
        with_input(
            {
                "sizes.csv": "\n".join(
                    f"{n},{i},px" for i, n in enumerate(names_of("val"), 40)
                ).encode()
            }
        ),
    ),
    (
        "labels of training images",
        phase("public_data", "downloads/t.csv", LABELS.replace(b"val_", b"train_")),
    ),
    (
        "readme in both",
        several(
            with_input({"README.md": b"The same words in both places.\n"}),
            write(
                "reference_data/val.zip",
                zip_bytes({"val.csv": LABELS, "README.md": b"Other words.\n"}),
            ),
        ),
    ),
    (
        "empty files",
        several(
            with_input({"e.txt": b""}),
            write("reference_data/val.zip", zip_bytes({"val.csv": LABELS, "e.csv": b""})),
        ),
    ),
]


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("change", [g[1] for g in GOOD], ids=[g[0] for g in GOOD])
def test_what_the_platform_takes_is_no_finding(
    tmp_path: Path, change: Change, zipped: bool
) -> None:
    bundle = Bundle()
    change(bundle)
    assert validated(bundle, tmp_path, zipped=zipped).findings == ()


def test_inputs_that_the_scorer_gets_again_are_a_warning(tmp_path: Path) -> None:
    bundle = Bundle()
    reference = zip_bytes({"val.csv": LABELS, **{f"i/{n}": d for n, d in IMAGES.items()}})
    bundle.files["reference_data/val.zip"] = reference
    report = validated(bundle, tmp_path, zipped=True)
    assert {f.code for f in report.findings} == {"leak-shared"}
    finding = next(f for f in report.findings if f.file == VAL)
    assert finding.level == "warning" and "12 files" in finding.problem


def test_program_folders_at_the_root(tmp_path: Path) -> None:
    bundle = Bundle()
    for task in bundle.document["tasks"]:
        task["scoring_program"] = "scoring_program"
    for name in ("metadata.yaml", "score.py"):
        bundle.files[f"scoring_program/{name}"] = bundle.files[f"{SCORING}/{name}"]
    # `mimicry pack` moves them; whoever zips the folder by hand does not.
    assert validated(bundle, tmp_path, zipped=False).findings == ()
    found = validated(bundle, tmp_path, zipped=True).findings
    assert {f.code for f in found} == {"folder-at-root"} and len(found) == 2


def test_a_program_that_needs_the_package(tmp_path: Path) -> None:
    bundle = Bundle()
    source = (
        "import sys\nfrom mimicry.hybrids.program import main\n"
        'if __name__ == "__main__":\n    sys.exit(main("hybrid", 1))\n'
    )
    bundle.files[f"{SCORING}/score.py"] = source.encode()
    codes = {f.code for f in validated(bundle, tmp_path, zipped=False).findings}
    assert codes == {"column-never-written", "score-without-column"}
    finding = only(validated(bundle, tmp_path, zipped=True), "package-missing")
    assert finding.file == f"{SCORING}/score.py" and "mimicry pack" in finding.mend
    bundle.files[f"{SCORING}/mimicry/__init__.py"] = b""
    codes = {f.code for f in validated(bundle, tmp_path, zipped=True).findings}
    assert "package-missing" not in codes


def test_the_ranking_column_is_written_by_every_task(tmp_path: Path) -> None:
    bundle = Bundle()
    bundle.document["tasks"][1]["scoring_program"] = "programs/other"
    bundle.files["programs/other/metadata.yaml"] = b"command: python3 score.py\n"
    other = SCORE.replace('"score": 0.5, ', "").replace('scores["loss"]', 'scores["recall"]')
    bundle.files["programs/other/score.py"] = other.encode()
    finding = only(validated(bundle, tmp_path, zipped=True), "primary-not-everywhere")
    assert "programs/other" in finding.problem and "above all others" in finding.platform


def test_copies_and_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundle = Bundle()
    bundle.document["tasks"][1]["input_data"] = VAL
    assert validated(bundle, tmp_path, zipped=True).findings == ()
    monkeypatch.setattr(data_module, "COPIES_COUNT_FROM", 100)
    monkeypatch.setattr(data_module, "DEFAULT_QUOTA", 1000)
    report = validated(bundle, tmp_path, zipped=True)
    assert "named 2 times" in next(f for f in report.findings if f.code == "data-copied").problem
    assert "Insufficient space" in only(report, "quota").platform


class TestZipItself:
    def report(self, bundle: Bundle, folder: Path) -> Report:
        return validate_bundle(bundle.as_zip(folder))

    @pytest.mark.parametrize("data", [b"", b"x", b"PK\x03\x04" + bytes(40)])
    def test_no_zip(self, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / "b.zip"
        path.write_bytes(data)
        finding = only(validate_bundle(path), "not-a-zip")
        assert finding.platform == '"Bad zip file uploaded."' and finding.file == "b.zip"

    @pytest.mark.parametrize(
        ("name", "mend"),
        [
            ("competition.yml", "rename 'competition.yml'"),
            ("Competition.yaml", "rename 'Competition.yaml'"),
            ("bundle/competition.yaml", "zip the contents of 'bundle'"),
            ("other.yaml", "put a competition.yaml"),
        ],
    )
    def test_competition_not_at_the_root(self, tmp_path: Path, name: str, mend: str) -> None:
        bundle = Bundle()
        bundle.yaml_name = name
        (finding,) = self.report(bundle, tmp_path).findings
        assert finding.code == "no-competition-yaml" and mend in finding.mend
        assert "competition.yaml is missing from zip, check your folder" in finding.platform
        # The same as a folder.
        (finding,) = validate_bundle(bundle.as_folder(tmp_path / "b")).findings
        assert finding.code == "no-competition-yaml"

    def test_its_own_name(self, tmp_path: Path) -> None:
        bundle = Bundle()
        bundle.zip_name = "my_private_bundle.zip"
        (finding,) = self.report(bundle, tmp_path).findings
        assert finding.code == "zip-name-private" and "404 Client Error" in finding.platform

    @pytest.mark.parametrize(
        ("name", "code", "level"),
        [
            ("__MACOSX/._logo.png", "zip-clutter", "warning"),
            ("pages/.DS_Store", "zip-clutter", "warning"),
            ("pages\\extra.md", "zip-backslash", "error"),
            ("/etc/extra.md", "zip-path-outside", "error"),
            ("../extra.md", "zip-path-outside", "error"),
        ],
    )
    def test_names(self, tmp_path: Path, name: str, code: str, level: str) -> None:
        bundle = Bundle()
        bundle.files[name] = b"x"
        (finding,) = self.report(bundle, tmp_path).findings
        assert (finding.code, finding.level, finding.file) == (code, level, "bundle.zip")

    def test_names_made_on_windows(self, tmp_path: Path) -> None:
        bundle = Bundle()
        bundle.files = {name.replace("/", "\\"): data for name, data in bundle.files.items()}
        report = self.report(bundle, tmp_path)
        codes = {finding.code for finding in report.findings}
        assert {"zip-backslash", "page-missing", "dataset-missing"} <= codes

    def test_locked(self, tmp_path: Path) -> None:
        bundle = Bundle()
        bundle.change_zip = encrypted
        report = self.report(bundle, tmp_path)
        assert only(report, "zip-encrypted").level == "error"
        assert only(report, "yaml-unreadable")

    def test_a_damaged_competition(self, tmp_path: Path) -> None:
        bundle = Bundle()
        bundle.change_zip = lambda data: data.replace(b"title: Good", b"title: Gxxd", 1)
        report = self.report(bundle, tmp_path)
        assert "damaged" in only(report, "yaml-unreadable").problem
        assert only(report, "zip-damaged")

    def test_a_damaged_file(self, tmp_path: Path) -> None:
        bundle = Bundle()
        bundle.change_zip = lambda data: data.replace(b"Be kind.", b"Be mind.", 1)
        finding = only(self.report(bundle, tmp_path), "zip-damaged")
        assert "pages/terms.md" in finding.problem

    def test_damaged_labels(self, tmp_path: Path) -> None:
        bundle = Bundle()
        reference = "reference_data/val.zip"
        bundle.files[reference] = damaged(bundle.files[reference])
        assert only(self.report(bundle, tmp_path), "data-damaged").file == reference

    def test_the_word_in_other_names(self, tmp_path: Path) -> None:
        bundle = Bundle()
        bundle.files["private/terms.md"] = b"Be kind."
        bundle.document["terms"] = "private/terms.md"
        finding = only(self.report(bundle, tmp_path), "name-private")
        assert finding.level == "warning" and "was not tried" in finding.platform

    def test_a_link(self, tmp_path: Path) -> None:
        path = Bundle().as_zip(tmp_path)
        with zipfile.ZipFile(path, "a") as archive:
            info = zipfile.ZipInfo("pages/link.md")
            info.create_system, info.external_attr = 3, 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
        assert only(validate_bundle(path), "zip-link").level == "error"

    def test_a_name_twice(self, tmp_path: Path) -> None:
        path = Bundle().as_zip(tmp_path)
        with zipfile.ZipFile(path, "a") as archive, pytest.warns(match="Duplicate"):
            archive.writestr("logo.png", PNG)
        assert "last one" in only(validate_bundle(path), "zip-twice").platform


class TestHostile:
    """Nothing here takes long, much memory, or writes anything."""

    def test_a_bomb_inside(self, tmp_path: Path) -> None:
        bundle = Bundle()
        bundle.files[VAL] = zip_bytes({"x.png": bytes(600 * 1024 * 1024)})
        started = time.monotonic()
        report = validated(bundle, tmp_path, zipped=True)
        assert only(report, "data-grows") and report.unread
        assert time.monotonic() - started < 5

    def test_a_bomb(self, tmp_path: Path) -> None:
        path = Bundle().as_zip(tmp_path)
        with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("zeros", bytes(400 * 1024 * 1024))
        assert only(validate_bundle(path), "zip-too-large")

    def test_very_many_entries(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(source_module, "MOST_ENTRIES", 5)
        report = validate_bundle(Bundle().as_zip(tmp_path))
        assert only(report, "zip-too-many")
        bundle = Bundle()
        bundle.document["tasks"][0]["input_data"] = "input_data/test.zip"
        report = validate_bundle(bundle.as_folder(tmp_path / "bundle"))
        assert any("more than 5" in text for text in report.unread)

    def test_a_listing_that_lies_about_its_length(self, tmp_path: Path) -> None:
        path = tmp_path / "b.zip"
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65_535, 65_535, 2**31, 0, 0)
        path.write_bytes(bytes(1000) + end)
        assert validate_bundle(path).errors == 1

    def test_folders_with_odd_files(self, tmp_path: Path) -> None:
        import os

        root = Bundle().as_folder(tmp_path / "bundle")
        (root / "logo.png").unlink()
        os.mkfifo(root / "logo.png")
        (root / "pages/data.md").unlink()
        (root / "pages/data.md").symlink_to("data.md")
        (root / SCORING / "link").symlink_to("/etc/passwd")
        (root / "input_data/val.zip").unlink()
        (root / "input_data/val.zip").mkdir()
        codes = {f.code for f in validate_bundle(root).findings}
        assert codes == {"image-missing", "page-missing", "data-refused", "data-empty"}

    def test_the_budget_ends(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(context_module.Budget, "take", lambda self, size: size < 60)
        report = validated(Bundle(), tmp_path, zipped=True)
        assert report.findings == ()
        assert any("too large or too many to look for labels" in text for text in report.unread)

    @pytest.mark.parametrize(
        "text",
        [
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n"
                for n in range(9)
            )
            + "title: *j\nversion: *j\ntasks: *j\nfact_sheet: {x: *j}\n",
            "a: &a {x: 1}\n"
            + "".join(
                f"{chr(98 + n)}: &{chr(98 + n)} {{<<: [{', '.join(['*' + chr(97 + n)] * 9)}]}}\n"
                for n in range(9)
            ),
            "a: &a {<<: *a}\n",
            "version: &a [*a]\ntasks: *a\nphases: *a\nleaderboards: *a\nfact_sheet: &f {x: *f}\n",
            "title: " + "[" * 5000,
            "version: 0x" + "f" * 20_000,
            "? [a]\n: 1\n",
            "tasks: [{index: .nan}, {index: .nan}]\nphases: [{tasks: [.nan]}]\n",
        ],
    )
    def test_yaml_that_multiplies(self, tmp_path: Path, text: str) -> None:
        bundle = Bundle()
        bundle.text = text
        started = time.monotonic()
        assert validated(bundle, tmp_path, zipped=True).errors
        assert time.monotonic() - started < 3


MINIMAL = """version: 2
title: Minimal example
image: logo.png
terms: terms.md
docker_image: your-registry/your-image:tag
registration_auto_approve: true
enable_detailed_results: true
pages: [{title: Overview, file: overview.md}]
tasks:
- {index: 0, name: All tracks, input_data: input_data, reference_data: reference_data,
   ingestion_program: ingestion_program, scoring_program: scoring_program}
phases:
- {index: 0, name: Development, start: 2026-01-01, end: "2030-01-01 12:00:00",
   max_submissions_per_day: 20, max_submissions: 200, execution_time_limit: 600, tasks: [0]}
leaderboards:
- title: Results
  key: results
  submission_rule: Force_Last
  columns:
  - {title: Overall, key: overall, index: 0, sorting: desc, precision: 4}
  - {title: Track A, key: track_a, index: 1, sorting: desc, precision: 4}
"""


class TestOthers:
    """Bundles that were not made with this package."""

    def minimal(self) -> Bundle:
        bundle = Bundle()
        bundle.text = MINIMAL
        bundle.files = {
            "logo.png": PNG,
            "terms.md": b"# Terms\n",
            "overview.md": b"# Overview\n",
            **{f"input_data/{n}.png": picture(n) for n in range(3)},
            "reference_data/labels.json": b'{"0.png": 1, "1.png": 0, "2.png": 1}',
            "ingestion_program/metadata.yaml": b"command: python3 /app/program/ingestion.py\n",
            "ingestion_program/ingestion.py": b"print('hello')\n",
            "scoring_program/metadata.yaml": (
                b"command: python3 /app/program/scoring.py /app/input /app/output\n"
            ),
            "scoring_program/scoring.py": (
                b"import json\njson.dump({'overall': 0.0, 'track_a': 0.0}, "
                b"open('/app/output/scores.json', 'w'))\n"
            ),
        }
        return bundle

    @pytest.mark.parametrize("zipped", [False, True])
    def test_the_minimal_bundle(self, tmp_path: Path, zipped: bool) -> None:
        report = validated(self.minimal(), tmp_path, zipped=zipped)
        assert report.errors == 0
        assert {f.code for f in report.findings} == {
            *("folder-at-root", "predictions-open", "no-detailed-results")
        }

    def test_the_layout_of_the_challenge_of_2024(self, tmp_path: Path) -> None:
        bundle = self.minimal()
        data = yaml.safe_load(MINIMAL)
        phases = [
            {
                "index": n,
                "name": name,
                "start": start,
                "end": end,
                "max_submissions_per_day": 0,
                "max_submissions": None,
                "execution_time_limit": None,
                "tasks": [n],
            }
            for n, name, start, end in (
                (0, "Development", "2024-09-27", "2025-01-17"),
                (1, "Final", "2025-01-18", "2025-01-18"),
            )
        ]
        tasks = [
            {
                "index": n,
                "name": f"Task {n}",
                "is_public": False,
                "input_data": f"input_data/{kind}.zip",
                "reference_data": f"reference_data/ref_{kind}.csv",
                "ingestion_program": "ingestion_program",
                "scoring_program": "scoring_program",
            }
            for n, kind in enumerate(("val", "test"))
        ]
        data |= {"phases": phases, "tasks": tasks, "solutions": []}
        data["leaderboards"][0] |= {"index": 0, "submission_rule": "Add_And_Delete"}
        bundle.text = yaml.safe_dump(data, sort_keys=False)
        for kind in ("val", "test"):
            bundle.files[f"reference_data/ref_{kind}.csv"] = labels(kind)
        report = validated(bundle, tmp_path, zipped=False)
        found = {(f.code, f.key) for f in report.findings if f.level == "error"}
        expected = {("unknown-key", "leaderboards[0].index")}
        for n in range(2):
            expected |= {
                ("unknown-key", f"tasks[{n}].is_public"),
                ("data-bare-file", f"tasks[{n}].reference_data"),
                ("dataset-missing", f"tasks[{n}].input_data"),
                ("quota-unlimited", f"phases[{n}].max_submissions_per_day"),
                ("quota-unlimited", f"phases[{n}].max_submissions"),
                ("empty-value", f"phases[{n}].execution_time_limit"),
            }
        assert found == expected | {("phase-ends-early", "phases[1].end")}


def noise(seed: int) -> bytes:
    """Return a picture as large as a photograph's smallest, and like no other."""
    buffer = io.BytesIO()
    pixels = random.Random(seed).randbytes(16 * 16 * 3)
    Image.frombytes("RGB", (16, 16), pixels).save(buffer, "PNG")
    return buffer.getvalue()


HIDDEN = {name: noise(number) for number, name in enumerate(names_of("test"))}
TEST = "input_data/test.zip"
TRAINING = {f"train/{number}.png": noise(100 + number) for number in range(12)}


def public(members: dict[str, bytes]) -> Change:
    return phase("public_data", "downloads/public.zip", zip_bytes(TRAINING | members))


def hidden_as_folder(bundle: Bundle) -> None:
    bundle.document["tasks"][1]["input_data"] = "input_data/test"
    bundle.files |= {f"input_data/test/{name}": data for name, data in HIDDEN.items()}
    del bundle.files[TEST]


FIRST, SECOND, *_ = HIDDEN.values()
SHOWN_TO_ALL = {
    "in a zip": (public({"train/a.png": FIRST, "b.jpg": SECOND}), "downloads/public.zip", 2),
    "under another ending": (public({"weights.bin": FIRST}), "downloads/public.zip", 1),
    "a zip in a zip": (
        public({"more.zip": zip_bytes({"a.png": FIRST})}),
        "downloads/public.zip",
        1,
    ),
    "in the kit": (write("downloads/kit/a.png", FIRST), "downloads/kit", 1),
    "a zip in the kit": (
        write("downloads/kit/dist/a.zip", zip_bytes(HIDDEN)),
        "downloads/kit",
        len(HIDDEN),
    ),
    "in a solution": (
        write("solutions/one.zip", zip_bytes({"a.png": FIRST})),
        "solutions/one.zip",
        1,
    ),
    "the input data": (
        lambda bundle: bundle.document["phases"][0].update(public_data=TEST),
        TEST,
        len(HIDDEN),
    ),
    "from a folder": (
        several(hidden_as_folder, public({"train/a.png": FIRST})),
        "downloads/public.zip",
        1,
    ),
}


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize("case", SHOWN_TO_ALL)
def test_hidden_images_in_downloads_are_found(tmp_path: Path, case: str, zipped: bool) -> None:
    change, file, count = SHOWN_TO_ALL[case]
    bundle = Bundle()
    bundle.files[TEST] = zip_bytes(HIDDEN)
    change(bundle)
    finding = only(validated(bundle, tmp_path, zipped=zipped), "leak-input")
    assert finding.level == "error" and finding.file == file
    said = "an image of" if count == 1 else f"{count} images of"
    assert f"it holds {said} the input data" in finding.problem
    assert "hands out" in finding.platform and finding.mend


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
def test_other_images_and_shared_texts_are_no_hidden_images(tmp_path: Path, zipped: bool) -> None:
    bundle = Bundle()
    readme = {"README.md": b"Butterflies of the museum.\n" * 20}
    bundle.files[TEST] = zip_bytes(HIDDEN | readme | {"blank.png": PNG})
    # One bit apart: the same size as a hidden one.
    near = FIRST[:-1] + bytes([FIRST[-1] ^ 1])
    public(readme | {"near.png": near, "blank.png": PNG})(bundle)
    assert validated(bundle, tmp_path, zipped=zipped).findings == ()


def test_equal_checksums_are_not_enough(tmp_path: Path) -> None:
    bundle = Bundle()
    bundle.files[TEST] = zip_bytes(HIDDEN)
    other = forged(bytes(len(FIRST) - 4), FIRST)
    assert zlib.crc32(other) == zlib.crc32(FIRST) and len(other) == len(FIRST) and other != FIRST
    public({"train/a.png": other})(bundle)
    assert validated(bundle, tmp_path, zipped=True).findings == ()


def forged(start: bytes, like: bytes) -> bytes:
    """Return `start` with four bytes more, so that its CRC-32 is that of `like`."""
    rows = []
    for n in range(256):
        value = n
        for _ in range(8):
            value = value >> 1 ^ (0xEDB88320 if value & 1 else 0)
        rows.append(value)
    by_top = {row >> 24: n for n, row in enumerate(rows)}
    wanted, steps = zlib.crc32(like) ^ 0xFFFFFFFF, []
    for _ in range(4):
        n = by_top[wanted >> 24]
        steps.append(n)
        wanted = ((wanted ^ rows[n]) << 8 & 0xFFFFFFFF) | n
    register, tail = zlib.crc32(start) ^ 0xFFFFFFFF, b""
    for n in reversed(steps):
        tail += bytes([n ^ register & 0xFF])
        register = register >> 8 ^ rows[n]
    return start + tail


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("files", "named"),
    [
        (["dist/my.zip", "runs/1/run.json"], ["'dist/'", "'runs/'"]),
        (["more/my.zip"], ["'more/my.zip'"]),
        (["example/model.py", "my_model/model.py"], ["'example/'", "'my_model/'"]),
    ],
)
def test_somebodys_work_in_the_kit_is_named(
    tmp_path: Path, files: list[str], named: list[str], zipped: bool
) -> None:
    bundle = Bundle()
    for name in files:
        bundle.files[f"downloads/kit/{name}"] = b"x = 1\n"
    finding = only(validated(bundle, tmp_path, zipped=zipped), "kit-leftovers")
    assert finding.level == "warning" and finding.file == "downloads/kit"
    assert finding.problem.endswith(f"somebody's work: {', '.join(named)}")


def test_an_editors_backup_in_a_kit_that_was_zipped_by_hand(tmp_path: Path) -> None:
    bundle = Bundle()
    bundle.files["downloads/kit/notes.md.bak"] = b"x\n"
    assert "notes.md.bak" in only(validated(bundle, tmp_path, zipped=True), "kit-leftovers").problem
    # `mimicry pack` leaves it out.
    assert validated(bundle, tmp_path, zipped=False).findings == ()


def test_a_kit_with_one_example_is_nobodys_work(tmp_path: Path) -> None:
    bundle = Bundle()
    bundle.files["downloads/kit/example/model.py"] = b"x = 1\n"
    assert validated(bundle, tmp_path, zipped=True).findings == ()
