"""Vectors of documents by PV-DBOW, with gensim (the extra 'text')."""

import re
from collections.abc import Sequence

import numpy as np

from grjax.errors import ConfigError, require

SIZE = 100  # D
_EPOCHS = 20
_FIRST_RATE, _LAST_RATE = 0.025, 1e-4
_SEED = 1

_TAG = re.compile(r"<[^<>]*>")
_WORD = re.compile(r"\w+(?:'\w+)*")


def words(text: str) -> list[str]:
    """The words of a text: lower case; letters, digits and inner apostrophes; no HTML tags.

    Example:
      >>> words("It isn't<br />GREAT, 10/10.")
      ['it', "isn't", 'great', '10', '10']
    """
    return _WORD.findall(_TAG.sub(" ", text).lower())


def document_vectors(train: Sequence[str], test: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Paragraph vectors, distributed bag of words (PV-DBOW): v_d predicts the words of document d.

    With an output vector u_w for each word w, v_d and u minimise, over the words w of document d and 5 words
    n drawn for each from the frequencies to the power 3/4,

      - log sigmoid(u_w . v_d) - sum_n log sigmoid(-u_n . v_d)

    Only `train` fits u, and with it its own vectors; a vector of `test` is fitted alone, from zero, u being
    fixed. No document of `test` influences another one, or `train`. D = 100, 20 epochs, the rate from 0.025
    to 0.0001, words that come at least twice, all their occurrences. Training documents are visited in an
    order that is shuffled by a fixed seed: in an order by class, a vector would tell the class by when it was
    trained.

    The vectors do not depend on the process, its hash seed, or the number of its cores; one core does all of
    it. Another version of gensim, or a processor on which sums are rounded otherwise, may give others.

    Args:
      train: texts, N of them.
      test: texts, M of them.

    Returns:
      Vectors of `train`, float32 [N, 100], and of `test`, float32 [M, 100].

    Raises:
      ConfigError: gensim is not installed, or no word comes twice.

    Reference: Le & Mikolov, ICML 2014, section 2.3; negative sampling: Mikolov et al., NeurIPS 2013,
      equation 4.
    """
    require("gensim", "text")
    from gensim.models.doc2vec import Doc2Vec, TaggedDocument, train_document_dbow

    documents = [words(text) for text in train]
    model = Doc2Vec(
        dm=0, vector_size=SIZE, negative=5, min_count=2, sample=0, epochs=_EPOCHS, alpha=_FIRST_RATE,
        min_alpha=_LAST_RATE, workers=1, seed=_SEED,
    )  # fmt: skip
    # A document's tag is its row, in whatever order it comes. Raw numbers of Philox never change with NumPy.
    order = np.argsort(np.random.Philox(key=_SEED).random_raw(len(documents)), kind="stable")
    tagged = [TaggedDocument(documents[row], [row]) for row in order.tolist()]
    model.build_vocab(tagged)
    if not len(model.wv):
        raise ConfigError("document vectors: no word comes twice in the training texts")
    model.train(tagged, total_examples=model.corpus_count, epochs=model.epochs)

    # Not model.infer_vector: it begins with a vector drawn by Python's hash, another one in each process.
    inferred, free = np.zeros((len(test), SIZE), np.float32), np.ones(1, np.float32)
    for row, text in enumerate(test):
        model.random.seed(_SEED)  # of the negative words: a vector is a function of its document
        document = words(text)
        for rate in np.linspace(_FIRST_RATE, _LAST_RATE, _EPOCHS):
            train_document_dbow(
                model, document, [0], rate, learn_words=False, learn_hidden=False,
                doctag_vectors=inferred[row : row + 1], doctags_lockf=free,
            )  # fmt: skip
    return model.dv.vectors.copy(), inferred
