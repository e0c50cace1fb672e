#!/usr/bin/env python3
"""hash-v1 once more, from agent/sink/vector/README.md alone: writes tests/golden/hash-v1.tsv, whose
lines are the dimension, the SHA-256 of the vector's little-endian floats, and the text as JSON."""
import hashlib
import json
import math
import pathlib
import struct

OUT = pathlib.Path(__file__).resolve().parent.parent / "golden" / "hash-v1.tsv"
STOPS = set("a an and are as at be by do does for from has have how i in is it of on or that the this to was "
            "what when where which who with".split())
MASK = (1 << 64) - 1


def siphash13(data):
    k0, k1 = 0x0706050403020100, 0x0F0E0D0C0B0A0908
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotl(x, b):
        return ((x << b) | (x >> (64 - b))) & MASK

    def rnd():
        v[0] = (v[0] + v[1]) & MASK
        v[1] = rotl(v[1], 13) ^ v[0]
        v[0] = rotl(v[0], 32)
        v[2] = (v[2] + v[3]) & MASK
        v[3] = rotl(v[3], 16) ^ v[2]
        v[0] = (v[0] + v[3]) & MASK
        v[3] = rotl(v[3], 21) ^ v[0]
        v[2] = (v[2] + v[1]) & MASK
        v[1] = rotl(v[1], 17) ^ v[2]
        v[2] = rotl(v[2], 32)

    whole = len(data) & ~7
    for i in range(0, whole, 8):
        word = int.from_bytes(data[i:i + 8], "little")
        v[3] ^= word
        rnd()
        v[0] ^= word
    last = int.from_bytes(data[whole:], "little") | ((len(data) & 0xFF) << 56)
    v[3] ^= last
    rnd()
    v[0] ^= last
    v[2] ^= 0xFF
    for _ in range(3):
        rnd()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def is_word(c):
    return 48 <= c <= 57 or 65 <= c <= 90 or 97 <= c <= 122 or c >= 128


def upper(c):
    return 65 <= c <= 90


def digit(c):
    return 48 <= c <= 57


def lower(c):
    return 97 <= c <= 122


def runs(text):
    word = bytearray()
    for c in text:
        if is_word(c):
            word.append(c)
        elif word:
            yield bytes(word)
            word = bytearray()
    if word:
        yield bytes(word)


def parts(w):
    cuts = [i for i in range(1, len(w)) if digit(w[i]) != digit(w[i - 1]) or (
        upper(w[i]) and (not upper(w[i - 1]) or (i + 1 < len(w) and lower(w[i + 1]))))]
    yield w
    if cuts:
        for a, b in zip([0] + cuts, cuts + [len(w)]):
            yield w[a:b]


def normal(w):
    w = bytes(c + 32 if upper(c) else c for c in w[:64])
    n = len(w)
    if n >= 5 and w.endswith(b"ies"):
        return w[:-3] + b"y"
    if n >= 5 and w.endswith((b"ses", b"xes", b"zes", b"ches", b"shes")):
        return w[:-2]
    if n >= 4 and w[-1:] == b"s" and w[-2:-1] not in (b"s", b"u", b"i"):
        return w[:-1]
    return w


def embed(text, dim):
    counts = {}
    for run in runs(text):
        for part in parts(run):
            w = normal(part)
            if w.decode("latin-1") in STOPS:
                continue
            if w in counts or len(counts) < 4096:
                counts[w] = counts.get(w, 0) + 1
    total = [0.0] * dim

    def add(feature, weight):
        h = siphash13(feature)
        total[(h & (MASK >> 1)) % dim] += -weight if h >> 63 else weight

    for w, n in counts.items():
        add(w, math.sqrt(n))
        if len(w) >= 4:
            framed = b"^" + w + b"$"
            for size in (3, 4):
                for i in range(len(framed) - size + 1):
                    add(b"#" + framed[i:i + size], 0.3)
    squares = 0.0
    for x in total:
        squares += x * x
    length = math.sqrt(squares)
    if length == 0:
        return [1.0] + [0.0] * (dim - 1)
    return [x / length for x in total]


TEXTS = [
    "", "the of and", "payments", "Payments payments PAYMENTS", "payments-db", "PersistentVolumeClaim", "HTTPServer v2",
    "who mounts the payments database secret", "policies boxes classes statuses analysis buses", "x", "ab", "abc", "abcd",
    "Deployment ledger | namespace payments | apiVersion apps/v1 | mounts secret postgres-credentials at /etc/ledger/db",
    "Größe äöü 日本語 naïve", "a" * 70, "a1b2c3", "9", "foo_bar.baz/qux", "\u0000\u0001 tab\tnewline\n",
    " ".join("word%d" % i for i in range(500)), " ".join(["again"] * 77),
]


def main():
    with open(OUT, "w") as f:
        for text in TEXTS:
            for dim in (384, 1024):
                v = struct.pack("<%df" % dim, *embed(text.encode(), dim))
                f.write("%d\t%s\t%s\n" % (dim, hashlib.sha256(v).hexdigest(), json.dumps(text)))
    print(2 * len(TEXTS), "vectors")


main()
