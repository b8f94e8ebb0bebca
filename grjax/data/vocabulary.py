"""Tokens of texts, their Huffman tree, and drawing from them: what skip-gram needs, in NumPy."""

import dataclasses
from collections import Counter
from collections.abc import Sequence

import numpy as np

_MARKS = str.maketrans({mark: f" {mark} " for mark in '."(),!?;:'})


def tokens(text: str) -> list[str]:
    """The tokens of a text: lower case; . " ( ) , ! ? ; : are tokens of their own; no line breaks of HTML.

    Other marks, as apostrophes and hyphens, stay in their words.

    Example:
      >>> tokens("It isn't<br />GREAT, (10/10)!")
      ['it', "isn't", 'great', ',', '(', '10/10', ')', '!']
    """
    return text.lower().replace("<br />", " ").translate(_MARKS).split()


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Texts as rows of a vocabulary, the most frequent token first, equally frequent ones as they come.

    Attributes:
      rows: of all tokens, text after text, int32 [T].
      starts: where each text begins in `rows`, and the last one ends, int64 [N + 1].
      counts: how often each of the V tokens comes, int64 [V].
    """

    rows: np.ndarray
    starts: np.ndarray
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1


def corpus(texts: Sequence[Sequence[str]]) -> Corpus:
    """The corpus of tokenised texts; every token counts, however rare.

    Example:
      >>> found = corpus([["a", "b", "b"], ["c", "b", "a"]])
      >>> found.rows, found.counts
      (array([1, 0, 0, 2, 0, 1], dtype=int32), array([3, 2, 1]))
    """
    counts = Counter(token for text in texts for token in text)
    row = {token: i for i, (token, _) in enumerate(counts.most_common())}
    rows = np.fromiter((row[token] for text in texts for token in text), np.int32)
    starts = np.concatenate([[0], np.cumsum([len(text) for text in texts])]).astype(np.int64)
    return Corpus(rows, starts, np.array([count for _, count in counts.most_common()], np.int64))


def huffman(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The binary code with the fewest bits for tokens that come so often.

    Args:
      counts: integers [V], positive, in descending order, at least two.

    Returns:
      Where each token's path from the root begins, int64 [V + 1]; on the paths, the inner nodes, int32 [P]
      in [0, V - 1), the root being V - 2, and the bit to go on with from each, uint8 [P].

    Example:
      >>> starts, nodes, bits = huffman(np.array([4, 2, 1]))
      >>> starts, nodes, bits
      (array([0, 1, 3, 5]), array([1, 1, 0, 1, 0], dtype=int32), array([1, 0, 1, 0, 0], dtype=uint8))
    """
    size = len(counts)
    weight = counts.tolist() + [0] * (size - 1)
    parent, bit = np.zeros(2 * size - 1, np.int32), np.zeros(2 * size - 1, np.uint8)
    # Two queues in ascending order: leaves from the last one on, and inner nodes as they are made.
    leaf, inner = size - 1, size
    for node in range(size, 2 * size - 1):
        for side in (0, 1):
            if leaf >= 0 and (inner >= node or weight[leaf] < weight[inner]):
                chosen, leaf = leaf, leaf - 1
            else:
                chosen, inner = inner, inner + 1
            weight[node] += weight[chosen]
            parent[chosen], bit[chosen] = node, side
    root = 2 * size - 2
    at, levels = np.arange(size), []
    while (at != root).any():  # all tokens a level up at a time; the root stays
        levels.append((np.where(at == root, -1, parent[at] - size), bit[at]))
        at = np.where(at == root, root, parent[at])
    nodes = np.stack([nodes for nodes, _ in levels], 1)[:, ::-1]  # [V, depth], the root first
    bits = np.stack([bits for _, bits in levels], 1)[:, ::-1]
    on_path = nodes >= 0
    starts = np.concatenate([[0], np.cumsum(on_path.sum(1))]).astype(np.int64)
    return starts, nodes[on_path].astype(np.int32), bits[on_path]


def alias_table(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A table to draw from a distribution in constant time: a cell drawn evenly, then it or its alias.

    Args:
      weights: non-negative numbers [V].

    Returns:
      The probability to stay in each cell, float32 [V], and its alias, int32 [V].

    Reference: Walker, ACM Transactions on Mathematical Software 3, 1977.
    """
    share = weights / weights.sum() * len(weights)
    stay, alias = np.ones(len(weights), np.float32), np.arange(len(weights), dtype=np.int32)
    small, large = (np.flatnonzero(mask).tolist() for mask in (share < 1, share >= 1))
    left = share.tolist()
    while small and large:
        poor, rich = small.pop(), large[-1]
        stay[poor], alias[poor] = left[poor], rich
        left[rich] -= 1 - left[poor]
        if left[rich] < 1:
            small.append(large.pop())
    return stay, alias
