"""Vectors of documents by skip-gram beside words, trained on all of them at once (the extra 'text')."""

import dataclasses
import functools
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from grjax.data.vocabulary import Corpus, alias_table, corpus, huffman
from grjax.errors import ConfigError, require

SIZE = 100  # D


@dataclasses.dataclass(frozen=True)
class Settings:
    """How vectors are trained.

    Attributes:
      window: a word's vector predicts up to so many words to each side.
      negatives: words drawn for each prediction.
      sample: words that are more than this share of the text are thinned out.
      iterations: over all texts.
      rate: the learning rate at the beginning; it falls to a ten-thousandth of it, evenly over the text.
      seed: of the order of the texts, the initial vectors and all that is drawn.
    """

    window: int = 10
    negatives: int = 5
    sample: float = 1e-3
    iterations: int = 20
    rate: float = 0.025
    seed: int = 1


def skip_gram(
    texts: Sequence[Sequence[str]],
    settings: Settings = Settings(),
    *,
    threads: int = 2,
    keep_in: Path | None = None,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> np.ndarray:
    """Vectors of documents, trained beside those of their words, each by the words that it predicts.

    The id of a document is put before it as one more token. Every token has a vector v, with which it
    predicts each token w within a window around it; the id predicts every token of its document, and those
    within the window twice. Tokens have vectors o, too, and so have the inner nodes of their Huffman tree:
    u_i and bit b_i are those on the path to w, and k runs over tokens that are drawn from the frequencies to
    the power 3/4. A prediction is a step of plain gradient descent on

      - sum_i log sigmoid((1 - 2 b_i) u_i . v) - log sigmoid(o_w . v) - sum_k log sigmoid(-o_k . v)

    which is hierarchical softmax and negative sampling at once. A window reaches 1 to `window` tokens, drawn
    anew for each place, over the tokens that are not thinned out. Every token counts, however rare.

    word2vec's reference program does that with `-cbow 0 -hs 1 -negative 5`, in its version with the option
    `-sentence-vectors`. What differs: negatives are drawn once for a place and shared by the predictions of
    its token, which takes a third of the time; texts are visited in an order that is shuffled once, or else
    the threads would go through the data class by class; the end of a line is no token; a document of more
    than 1,000 tokens stays whole; the learning rate falls with each document. gensim's `Doc2Vec` is another
    way to come near; it took three times as long, see docs/reference/data.md.

    With one thread every run gives the same vectors. Several threads work on them without locks, as the
    reference program's, and runs differ a little.

    Args:
      texts: tokens of N documents.
      settings: see `Settings`.
      threads: that train at a time.
      keep_in: a folder for the state after each iteration, from where the same call goes on after it was
        stopped; None: nothing is kept.
      report: called about twice a second with the number of tokens done, and of those to do in all.

    Returns:
      float32 [N, 100].

    Raises:
      ConfigError: numba is not installed, or a document is empty.

    Reference: Mikolov et al., NeurIPS 2013 (skip-gram); Le & Mikolov, ICML 2014, section 2.3 (documents);
      Ji et al., arXiv:1604.04661 (shared negatives).
    """
    require("numba", "text")
    if empty := [i for i, text in enumerate(texts) if not len(text)]:
        raise ConfigError(f"document vectors: text {empty[0]} holds no token")
    # Raw numbers of Philox never change with NumPy.
    order = np.argsort(np.random.Philox(key=settings.seed).random_raw(len(texts)), kind="stable")
    # An id must not be a word: no token holds a space.
    tokens = corpus([[f"id {i}", *texts[i]] for i in order.tolist()])
    state = _State(tokens, settings, keep_in)
    share = tokens.counts / (settings.sample * tokens.counts.sum())
    kept = ((np.sqrt(share) + 1) / share).astype(np.float32)
    tables = (*huffman(tokens.counts), kept, *alias_table(tokens.counts**0.75))

    bounds = np.searchsorted(tokens.starts, np.linspace(0, len(tokens.rows), threads + 1))
    bounds[-1] = len(tokens)
    train, per_iteration = _kernel(), len(tokens.rows)
    for iteration in range(state.iterations, settings.iterations):
        done = np.zeros((threads, 16), np.int64)  # a row is two cache lines, of one thread each
        numbers = settings.window, settings.negatives, settings.rate, iteration, settings.iterations
        workers = []
        for first, last, own in zip(bounds, bounds[1:], done, strict=False):
            span = tokens.rows, tokens.starts, first, last
            what = (*span, *state.arrays, *tables, *numbers, settings.seed, own)
            workers.append(threading.Thread(target=train, args=what, daemon=True))  # Ctrl-C need not wait
            workers[-1].start()
        for worker in workers:
            alive = True
            while alive:
                worker.join(0.5)
                alive = worker.is_alive()
                report(iteration * per_iteration + int(done[:, 0].sum()), settings.iterations * per_iteration)
        state.keep(iteration + 1)
    vectors = np.empty((len(texts), SIZE), np.float32)
    vectors[order] = state.arrays[0][tokens.rows[tokens.starts[:-1]]]
    return vectors


class _State:
    """Vectors while they are trained: `arrays` are v [V, D], u [V - 1, D], o [V, D], after `iterations`."""

    def __init__(self, tokens: Corpus, settings: Settings, folder: Path | None):
        size = len(tokens.counts)
        first = np.random.Generator(np.random.Philox(key=settings.seed, counter=[0, 0, 0, 1]))
        v = (first.random((size, SIZE), np.float32) - np.float32(0.5)) / np.float32(SIZE)
        self.arrays = (v, np.zeros((size - 1, SIZE), np.float32), np.zeros((size, SIZE), np.float32))
        self.iterations = 0
        what = hashlib.sha256(json.dumps([SIZE, dataclasses.asdict(settings)]).encode())
        what.update(tokens.rows.tobytes())
        what.update(tokens.starts.tobytes())
        self._path = folder and folder / f"skip_gram_{what.hexdigest()[:16]}.npz"
        if self._path is not None and self._path.exists():
            with np.load(self._path) as kept:
                self.arrays = tuple(kept[name] for name in ("v", "u", "o"))
                self.iterations = int(kept["iterations"])

    def keep(self, iterations: int) -> None:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new = self._path.with_suffix(".new.npz")
            v, u, o = self.arrays
            np.savez(new, v=v, u=u, o=o, iterations=iterations)
            new.replace(self._path)


@functools.cache
def _kernel() -> Callable[..., None]:
    """The loop over documents, compiled; it holds no lock of Python, so threads run side by side."""
    import numba  # only here: preparing happens once

    largest, cells = np.float32(6), 1000  # sigmoid is looked up, to two digits after the point
    grid = (2 * np.arange(cells) / cells - 1) * largest
    sigmoids = (1 / (1 + np.exp(-grid))).astype(np.float32)
    scale = np.float32(cells / (2 * largest))
    one = np.float32(1)

    @numba.njit(inline="always")
    def step(row, vector, table, target, rate, error, clip):  # type: ignore[no-untyped-def]
        """One term of a prediction: `error` gathers what `vector` gets, the row of `table` has it at once."""
        f = np.float32(0)
        for d in range(SIZE):
            f += vector[d] * table[row, d]
        if f >= largest:
            if clip:
                return
            f = one
        elif f <= -largest:
            if clip:
                return
            f = np.float32(0)
        else:
            f = sigmoids[np.int64((f + largest) * scale)]
        g = (target - f) * rate
        for d in range(SIZE):
            error[d] += g * table[row, d]
            table[row, d] += g * vector[d]

    @numba.njit(inline="always")
    def mixed(word):  # type: ignore[no-untyped-def]
        """A word that looks drawn: the mixing function of SplitMix64."""
        word = word + np.uint64(0x9E3779B97F4A7C15)
        word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return word ^ (word >> np.uint64(31))

    @numba.njit(nogil=True, fastmath=True)
    def train(  # type: ignore[no-untyped-def]
        rows, starts, first, last, v, u, o, path_starts, nodes, bits, kept, stay, alias, window, negatives,
        first_rate, iteration, iterations, seed, done,
    ):  # fmt: skip
        """Documents `first` to `last` - 1 of an iteration; `done` is told how many tokens they had."""
        error, vector = np.empty(SIZE, np.float32), np.empty(SIZE, np.float32)
        longest = 0
        for document in range(first, last):
            longest = max(longest, starts[document + 1] - starts[document])
        sentence, others = np.empty(longest, np.int64), np.empty(negatives, np.int64)
        factor, increment = np.uint64(25214903917), np.uint64(11)
        sixteen, low = np.uint64(16), np.uint64(0xFFFFFF)
        unit, size = np.float32(2**-24), np.uint64(len(stay))
        begin, end = starts[first], starts[last]
        for document in range(first, last):
            draw = mixed(mixed(mixed(np.uint64(seed)) + np.uint64(iteration)) + np.uint64(document))
            progress = (iteration + (starts[document] - begin) / (end - begin)) / iterations
            rate = np.float32(first_rate * max(1 - progress, 1e-4))
            length = 0
            for at in range(starts[document], starts[document + 1]):
                draw = draw * factor + increment
                if at == starts[document] or np.float32((draw >> sixteen) & low) * unit < kept[rows[at]]:
                    sentence[length] = rows[at]
                    length += 1
            for position in range(length):
                word = sentence[position]
                draw = draw * factor + increment
                reach = window - np.int64((draw >> sixteen) % np.uint64(window))
                for i in range(negatives):
                    draw = draw * factor + increment
                    others[i] = np.int64((draw >> sixteen) % size)
                    draw = draw * factor + increment
                    if np.float32((draw >> sixteen) & low) * unit >= stay[others[i]]:
                        others[i] = alias[others[i]]
                for at in range(position - reach, position + reach + 2):
                    if at == position:
                        continue
                    place = 0 if at == position + reach + 1 else at  # the last one is the id, wherever it is
                    if place < 0 or place >= length:
                        continue
                    source = sentence[place]
                    for d in range(SIZE):
                        vector[d] = v[source, d]
                        error[d] = 0
                    for i in range(path_starts[word], path_starts[word + 1]):
                        step(nodes[i], vector, u, one - np.float32(bits[i]), rate, error, True)
                    step(word, vector, o, one, rate, error, False)
                    for i in range(negatives):
                        if others[i] != word:
                            step(others[i], vector, o, np.float32(0), rate, error, False)
                    for d in range(SIZE):
                        v[source, d] += error[d]
            done[0] = starts[document + 1] - begin

    return train
