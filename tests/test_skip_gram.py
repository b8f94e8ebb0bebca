"""Vectors of documents by skip-gram against a loop in plain Python, and what they are for."""

import heapq
import itertools
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from grjax.data.vocabulary import alias_table, corpus, huffman, tokens
from grjax.errors import ConfigError

pytest.importorskip("numba")

from grjax.data.skip_gram import SIZE, Settings, skip_gram

ROOT = Path(__file__).parent.parent


def topics(count=60, seed=0):
    """Texts that alternate between two topics, which share half of their words."""
    rng = np.random.default_rng(seed)
    texts = []
    for number in range(count):
        words = [f"common{i}" for i in rng.integers(0, 20, 20)]
        words += [f"{('bad', 'good')[number % 2]}{i}" for i in rng.integers(0, 5, 20)]
        texts.append(rng.permutation(words).tolist())
    return texts


# ---------------------------------------------------------------------------------- tokens, tree, table


def test_tokens_are_lower_case_with_marks_apart():
    assert tokens('He said: "Isn\'t it (very)GOOD?"<br /><br />10/10; well-made!') == [
        "he", "said", ":", '"', "isn\'t", "it", "(", "very", ")", "good", "?", '"', "10/10", ";", "well-made",
        "!",
    ]  # fmt: skip


def test_a_corpus_counts_every_token():
    texts = topics(10)
    found = corpus(texts)
    counts = Counter(word for text in texts for word in text)
    assert len(found) == 10
    assert found.counts.tolist() == sorted(counts.values(), reverse=True)
    names = dict(zip(found.rows.tolist(), itertools.chain.from_iterable(texts), strict=True))
    assert [counts[names[row]] for row in range(len(found.counts))] == found.counts.tolist()
    for number, text in enumerate(texts):
        rows = found.rows[found.starts[number] : found.starts[number + 1]]
        assert [names[row] for row in rows.tolist()] == text


COUNTS = [
    np.array([1, 1]), np.array([8, 4, 2, 1, 1]), np.ones(13, int),
    np.sort(np.random.default_rng(0).zipf(1.3, 300).clip(max=10**6))[::-1],
]  # fmt: skip


@pytest.mark.parametrize("counts", COUNTS)
def test_the_tree_is_a_huffman_code(counts):
    starts, nodes, bits = huffman(counts)
    assert starts[0] == 0
    assert starts[-1] == len(nodes) == len(bits)
    heap = counts.tolist()
    heapq.heapify(heap)
    fewest = 0  # the bits of an optimal code: the sum of the weights of all inner nodes
    while len(heap) > 1:
        weight = heapq.heappop(heap) + heapq.heappop(heap)
        fewest += weight
        heapq.heappush(heap, weight)
    assert np.sum(np.diff(starts) * counts) == fewest
    root, leaves = len(counts) - 2, set()
    below = {}  # (node, bit) -> what comes next
    for token in range(len(counts)):
        path = slice(starts[token], starts[token + 1])
        assert nodes[path][0] == root
        following = [*nodes[path][1:].tolist(), f"leaf {token}"]
        for node, bit, after in zip(nodes[path].tolist(), bits[path].tolist(), following, strict=True):
            assert below.setdefault((node, bit), after) == after  # it is a tree: no code begins another one
        leaves.add(tuple(bits[path].tolist()))
    assert len(leaves) == len(counts)
    assert len(below) == 2 * (len(counts) - 1)


@pytest.mark.parametrize("weights", [np.ones(7), np.array([5.0, 1, 0, 2]), COUNTS[3] ** 0.75])
def test_an_alias_table_holds_the_distribution(weights):
    stay, alias = alias_table(weights)
    size = len(weights)
    found = stay / size + np.bincount(alias, (1 - stay) / size, size)
    np.testing.assert_allclose(found, weights / weights.sum(), rtol=1e-5, atol=1e-7)


# --------------------------------------------------------------------------------------- against plain Python


class Draws:
    """The generator of word2vec's reference program, begun by SplitMix64."""

    def __init__(self, *words):
        self.state = 0
        for word in words:
            self.state = self._mixed((self.state + word) % 2**64)

    @staticmethod
    def _mixed(word):
        word = (word + 0x9E3779B97F4A7C15) % 2**64
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
        return word ^ (word >> 31)

    def next(self):
        self.state = (self.state * 25214903917 + 11) % 2**64
        return self.state >> 16

    def uniform(self):
        return (self.next() & 0xFFFFFF) / 2**24


def sigmoid(f, saturates):
    """As it is looked up; None: too far out for hierarchical softmax."""
    if abs(f) >= 6:
        return None if saturates else float(f > 0)
    return 1 / (1 + np.exp(-((int((f + 6) * (1000 / 12)) / 1000) * 12 - 6)))


def plainly(texts, settings):
    """The objective of the docstring, prediction by prediction, in float64."""
    order = np.argsort(np.random.Philox(key=settings.seed).random_raw(len(texts)), kind="stable")
    found = corpus([[f"id {i}", *texts[i]] for i in order.tolist()])
    size = len(found.counts)
    generator = np.random.Generator(np.random.Philox(key=settings.seed, counter=[0, 0, 0, 1]))
    v = (generator.random((size, SIZE), np.float32).astype(float) - 0.5) / SIZE
    u, o = np.zeros((size - 1, SIZE)), np.zeros((size, SIZE))
    starts, nodes, bits = huffman(found.counts)
    stay, alias = alias_table(found.counts**0.75)
    share = found.counts / (settings.sample * found.counts.sum())
    kept = np.sqrt(1 / share) + 1 / share
    for iteration in range(settings.iterations):
        for document in range(len(texts)):
            draws = Draws(settings.seed, iteration, document)
            done = (iteration + found.starts[document] / len(found.rows)) / settings.iterations
            rate = settings.rate * max(1 - done, 1e-4)
            identity, *words = found.rows[found.starts[document] : found.starts[document + 1]].tolist()
            draws.next()  # the id always stays
            sentence = [identity, *(word for word in words if draws.uniform() < kept[word])]
            for position, word in enumerate(sentence):
                reach = settings.window - draws.next() % settings.window
                negatives = []
                for _ in range(settings.negatives):
                    cell = draws.next() % size
                    negatives.append(cell if draws.uniform() < stay[cell] else alias[cell])
                window = [at for at in range(position - reach, position + reach + 1) if at != position]
                inside = [sentence[at] for at in window if 0 <= at < len(sentence)]
                for source in [*inside, identity]:
                    gathered = np.zeros(SIZE)
                    path = slice(starts[word], starts[word + 1])
                    terms = [
                        (u, node, 1 - bit, True) for node, bit in zip(nodes[path], bits[path], strict=True)
                    ]
                    terms += [(o, word, 1, False), *((o, n, 0, False) for n in negatives if n != word)]
                    for table, row, target, saturates in terms:
                        p = sigmoid(table[row] @ v[source], saturates)
                        if p is not None:
                            gathered += (target - p) * rate * table[row]
                            table[row] += (target - p) * rate * v[source]
                    v[source] += gathered
    vectors = np.empty((len(texts), SIZE))
    vectors[order] = v[found.rows[found.starts[:-1]]]
    return vectors


@pytest.mark.parametrize(
    ("settings", "tolerance"),
    [
        # The sigmoid is looked up in steps of 0.012: where rounding falls into another step, a term differs.
        (Settings(iterations=3, sample=0.05), 2e-3),
        (Settings(window=2, negatives=3, sample=1.0, iterations=2, rate=0.1, seed=7), 2e-3),
        # Far enough for the sigmoid to saturate some 900 times, and for rounding to grow.
        (Settings(window=3, negatives=2, iterations=12, rate=0.4, sample=0.2), 0.06),
    ],
)
def test_vectors_are_those_of_a_loop_in_plain_python(settings, tolerance):
    texts = topics(8)
    found, expected = skip_gram(texts, settings, threads=1), plainly(texts, settings)
    scale = np.abs(expected).max()
    assert scale > 5 / SIZE  # it has moved
    np.testing.assert_allclose(found, expected, atol=tolerance * scale)


# --------------------------------------------------------------------------------------------- what it is for


@pytest.mark.parametrize("threads", [1, 2])
def test_documents_of_a_topic_lie_together(threads):
    vectors = skip_gram(topics(), Settings(iterations=30), threads=threads)
    assert (vectors.dtype, vectors.shape) == (np.float32, (60, SIZE))
    unit = vectors - vectors.mean(0)
    towards = unit[1:30:2].mean(0) - unit[:30:2].mean(0)
    assert np.mean((unit[30:] @ towards > 0) == (np.arange(30) % 2)) > 0.9


def test_one_thread_gives_the_same_in_every_process(tmp_path):
    script = f"""
import sys
import numpy as np
from grjax.data.skip_gram import Settings, skip_gram
np.save(sys.argv[1], skip_gram({topics(6)}, Settings(iterations=2), threads=1))
"""
    path = str(tmp_path / "vectors.npy")
    subprocess.run([sys.executable, "-c", script, path], cwd=ROOT, check=True)
    np.testing.assert_array_equal(np.load(path), skip_gram(topics(6), Settings(iterations=2), threads=1))


def test_stopped_after_an_iteration_it_goes_on_from_there(tmp_path):
    texts, settings = topics(6), Settings(iterations=4)
    calls = []

    def stop(done, total):
        calls.append(done)
        if done > 2 * total / 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        skip_gram(texts, settings, threads=1, keep_in=tmp_path, report=stop)
    (kept,) = tmp_path.glob("*.npz")
    assert np.load(kept)["iterations"] == 2
    seen = []
    again = skip_gram(
        texts, settings, threads=1, keep_in=tmp_path, report=lambda done, total: seen.append(done / total)
    )
    np.testing.assert_array_equal(again, skip_gram(texts, settings, threads=1))
    assert min(seen) > 0.5
    assert max(seen) == 1
    other = skip_gram([*texts[:5], texts[0]], settings, threads=1, keep_in=tmp_path)  # not what was kept
    np.testing.assert_array_equal(other, skip_gram([*texts[:5], texts[0]], settings, threads=1))
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_an_empty_document_is_named():
    with pytest.raises(ConfigError, match="document vectors: text 1 holds no token"):
        skip_gram([["a"], []])


def test_numba_missing_is_one_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ConfigError, match=r"numba: must be installed .*'grjax\[text\]'"):
        skip_gram([["a"]])
