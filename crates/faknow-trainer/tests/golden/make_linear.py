"""Writes linear.json: weights of linear classifiers by scikit-learn (run with scikit-learn 1.9.1)."""

import json
import pathlib

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

N_SAMPLES, N_FEATURES = 40, 12
generator = np.random.default_rng(7)


def samples(n_classes):
    x = generator.random((N_SAMPLES, N_FEATURES)) * (generator.random((N_SAMPLES, N_FEATURES)) < 0.4)
    x[3] = 0
    x = np.round(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9), 4)
    scores = x @ generator.normal(size=(N_FEATURES, n_classes)) + 0.3 * generator.normal(size=(N_SAMPLES, n_classes))
    return x, scores.argmax(1)


def fit(loss, c, n_classes):
    x, y = samples(n_classes)
    if loss == "squared_hinge":
        model = LinearSVC(C=c, tol=1e-12, max_iter=10_000_000).fit(x, y)
        weight, bias = model.coef_, model.intercept_
    elif n_classes == 2:
        model = LogisticRegression(C=c, tol=1e-12, max_iter=1_000_000, solver="liblinear").fit(x, y)
        weight, bias = model.coef_, model.intercept_
    else:
        # The bias is regularized, as that of liblinear.
        with_constant = np.hstack([x, np.ones((N_SAMPLES, 1))])
        model = LogisticRegression(C=c, tol=1e-12, max_iter=1_000_000, fit_intercept=False).fit(with_constant, y)
        weight, bias = model.coef_[:, :-1], model.coef_[:, -1]
    rows = [[[int(i), row[i]] for i in np.flatnonzero(row)] for row in x]
    return {
        "loss": loss, "c": c, "n_classes": n_classes, "rows": rows, "labels": y.tolist(),
        "weight": weight.T.tolist(), "bias": bias.tolist(),
    }


cases = [fit(*case) for case in [
    ("squared_hinge", 1.0, 2), ("squared_hinge", 5.0, 2), ("squared_hinge", 1.0, 4),
    ("logistic", 1.0, 2), ("logistic", 4.0, 2), ("logistic", 1.0, 4), ("logistic", 10.0, 3),
]]
path = pathlib.Path(__file__).parent / "linear.json"
path.write_text(json.dumps({"n_features": N_FEATURES, "cases": cases}) + "\n", encoding="utf-8")
