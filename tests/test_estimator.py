"""GRClassifier among scikit-learn's estimators."""

import pickle

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from grjax.errors import ConfigError
from grjax.estimator import GRClassifier

FAST = {"model.hidden": (16,), "eval_every_epochs": 4.0}


@pytest.fixture(scope="module")
def fitted():
    X, y = make_blobs(120, centers=3, random_state=0, cluster_std=0.6)  # noqa: N806
    names = np.array(["ash", "birch", "cedar"])
    labels = names[y]
    wrong = np.arange(120) % 12 == 5
    labels[wrong] = names[(y[wrong] + 1) % 3]
    return GRClassifier(epochs=12, config=FAST, random_state=0).fit(X, labels), X, names[y], labels, wrong


def test_it_learns_the_right_labels_and_names_the_wrong_ones(fitted):
    model, X, right, labels, wrong = fitted  # noqa: N806
    assert model.classes_.tolist() == ["ash", "birch", "cedar"]
    assert (model.predict(X) == right).mean() > 0.9
    proba = model.predict_proba(X)
    assert proba.shape == (120, 3)
    np.testing.assert_allclose(proba.sum(1), 1, rtol=1e-5)
    assert model.label_issues_[wrong].mean() > 0.8
    assert model.label_issues_[~wrong].mean() < 0.1
    suggested = model.classes_[model.audit_.suggested]
    assert (suggested[wrong] == right[wrong]).mean() > 0.8
    # In the run's own predictions, too: features are standardised as in training.
    given = np.searchsorted(model.classes_, labels)
    np.testing.assert_allclose(proba[np.arange(120), given], model.audit_.last_p, atol=2e-3)


def test_it_is_the_same_again_and_after_pickling(fitted):
    model, X, _, labels, _ = fitted  # noqa: N806
    again = GRClassifier(epochs=12, config=FAST, random_state=0).fit(X, labels)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))


def test_images_take_the_cnn_and_keep_their_shape():
    digits = load_digits()
    images, y = digits.images[:160].astype(np.uint8), digits.target[:160]
    small = {"model.features": (8,), "model.hidden": 16}
    model = GRClassifier(epochs=1, config=small, random_state=0).fit(images, y)
    assert model.predict_proba(images[:3]).shape == (3, 10)
    assert model._config.model.name == "cnn"
    with pytest.raises(ValueError, match=r"X: must be \['N', 8, 8\] as in fit"):
        model.predict(images[:, :, :7])


@pytest.mark.parametrize(
    ("config", "error"),
    [
        ({"optimizer.learning_rate": -1.0}, "learning_rate"),
        ({"loss.nme": "x"}, "nme"),
        ({"noise.rate": 2.0}, "noise.rate"),
    ],
)
def test_a_config_that_cannot_be_trained_is_one_error(config, error):
    with pytest.raises(ConfigError, match=error):
        GRClassifier(config=config).fit(np.eye(8, dtype=np.float32), np.arange(8) % 2)


@pytest.mark.slow
def test_it_works_in_a_pipeline_and_in_cross_validation():
    X, y = make_blobs(90, centers=3, random_state=0)  # noqa: N806
    model = make_pipeline(StandardScaler(), GRClassifier(epochs=10, config=FAST, random_state=0))
    assert cross_val_score(model, X, y, cv=3).mean() > 0.8


@pytest.mark.slow
@parametrize_with_checks([GRClassifier(random_state=0)])
def test_scikit_learn_agrees(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    ("method", "options"),
    [("co_teaching", {"method.rate": 0.2}), ("vol_min_net", {"method.average": 0.9, "method.sam": 0.05})],
)
def test_another_method_of_training(method, options):
    features, y = make_blobs(300, centers=3, n_features=4, random_state=0)
    model = GRClassifier(method=method, epochs=5, config=options, random_state=0)
    model.fit(features, y)
    assert (model.predict(features) == y).mean() > 0.9
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(features), model.predict_proba(features))
