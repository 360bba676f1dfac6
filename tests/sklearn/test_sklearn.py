#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scikit-learn estimators converted by skl2onnx, run by the command line, against scikit-learn's own predictions.

usage: test_sklearn.py SARDONYX FOLDER [NAME...]

Each case is fitted on made-up data with a fixed seed and run on 1, 7 and 100 rows in f32. Labels must be equal, except
where scikit-learn's two greatest scores are closer than f32 tells apart; numbers must agree to 1e-4, relative to the
greatest of the output (1e-5 absolute).
"""
import os
import subprocess
import sys
import warnings

import numpy
import onnx
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn import (cluster, compose, discriminant_analysis, ensemble, feature_selection, impute,
                     linear_model, naive_bayes, neural_network, pipeline, preprocessing, svm, tree)
from sklearn.feature_extraction import text

warnings.filterwarnings("ignore")
BATCHES, BOUND = (1, 7, 100), 1e-4
OPSETS = {"": 17, "ai.onnx.ml": 3}
RANDOM = numpy.random.default_rng(7)
X = RANDOM.normal(size=(600, 6)).astype(numpy.float32)
SUM = X[:, 0] - 2 * X[:, 1] + X[:, 2] * X[:, 3] + 0.3 * RANDOM.normal(size=600)
TWO, THREE = (SUM > 0).astype(numpy.int64), numpy.digitize(SUM, [-1, 1]).astype(numpy.int64)
WORDS = numpy.array(["ash", "birch", "cedar"])[THREE]
TARGETS = numpy.stack([SUM, X[:, 4] - SUM], axis=1)
HOLES = numpy.where(RANDOM.random(X.shape) < 0.1, numpy.nan, X).astype(numpy.float32)
COUNTS = RANDOM.integers(0, 5, size=(600, 4)).astype(numpy.int64)
TOWNS = numpy.array(["Oslo", "Rome", "Bern", "Łódź"])[RANDOM.integers(0, 4, size=(600, 2))].astype(object)


def classifiers():
    logistic = linear_model.LogisticRegression
    yield "logistic_two", logistic(), X, TWO
    yield "logistic_three", logistic(), X, THREE
    yield "logistic_words", logistic(), X, WORDS
    yield "ridge_classifier", linear_model.RidgeClassifier(), X, THREE
    yield "sgd_hinge", linear_model.SGDClassifier(random_state=0), X, THREE
    yield "sgd_log", linear_model.SGDClassifier(loss="log_loss", random_state=0), X, TWO
    yield "perceptron", linear_model.Perceptron(random_state=0), X, TWO
    yield "linear_svc_two", svm.LinearSVC(random_state=0), X, TWO
    yield "linear_svc_three", svm.LinearSVC(random_state=0), X, THREE
    for kernel in ("linear", "poly", "rbf", "sigmoid"):
        yield f"svc_{kernel}_three", svm.SVC(kernel=kernel), X, THREE
    yield "svc_rbf_two", svm.SVC(), X, TWO
    yield "svc_rbf_words", svm.SVC(), X, WORDS
    yield "svc_probabilities_two", svm.SVC(probability=True, random_state=0), X, TWO
    yield "svc_probabilities_three", svm.SVC(probability=True, random_state=0), X, WORDS
    yield "nu_svc", svm.NuSVC(nu=0.3), X, THREE
    yield "tree_two", tree.DecisionTreeClassifier(random_state=0), X, TWO
    yield "tree_three", tree.DecisionTreeClassifier(max_depth=5, random_state=0), X, THREE
    yield "tree_words", tree.DecisionTreeClassifier(max_depth=5, random_state=0), X, WORDS
    yield "forest_two", ensemble.RandomForestClassifier(60, random_state=0), X, TWO
    yield "forest_three", ensemble.RandomForestClassifier(60, random_state=0), X, THREE
    yield "forest_words", ensemble.RandomForestClassifier(20, max_depth=4, random_state=0), X, WORDS
    yield "extra_trees", ensemble.ExtraTreesClassifier(40, random_state=0), X, THREE
    yield "boosting_two", ensemble.GradientBoostingClassifier(n_estimators=50, random_state=0), X, TWO
    yield "boosting_three", ensemble.GradientBoostingClassifier(n_estimators=30, random_state=0), X, THREE
    yield "bagging", ensemble.BaggingClassifier(tree.DecisionTreeClassifier(max_depth=4), 8, random_state=0), X, THREE
    yield "voting", ensemble.VotingClassifier(
        [("a", logistic()), ("b", tree.DecisionTreeClassifier(max_depth=4, random_state=0))], voting="soft",
        flatten_transform=False), X, THREE
    yield "naive_bayes", naive_bayes.GaussianNB(), X, THREE
    yield "discriminant", discriminant_analysis.LinearDiscriminantAnalysis(), X, THREE
    yield "perceptrons", neural_network.MLPClassifier(hidden_layer_sizes=(12,), max_iter=60, random_state=0), X, THREE


def regressors():
    yield "linear", linear_model.LinearRegression(), X, SUM
    yield "linear_targets", linear_model.LinearRegression(), X, TARGETS
    yield "ridge", linear_model.Ridge(), X, SUM
    yield "lasso", linear_model.Lasso(0.01), X, SUM
    yield "svr_rbf", svm.SVR(), X, SUM
    yield "svr_poly", svm.SVR(kernel="poly"), X, SUM
    yield "svr_linear", svm.LinearSVR(random_state=0), X, SUM
    yield "nu_svr", svm.NuSVR(kernel="sigmoid", gamma=0.05), X, SUM
    yield "tree_numbers", tree.DecisionTreeRegressor(random_state=0), X, SUM
    yield "tree_targets", tree.DecisionTreeRegressor(max_depth=6, random_state=0), X, TARGETS
    yield "forest_numbers", ensemble.RandomForestRegressor(60, random_state=0), X, SUM
    yield "forest_targets", ensemble.RandomForestRegressor(20, random_state=0), X, TARGETS
    yield "extra_trees_numbers", ensemble.ExtraTreesRegressor(30, random_state=0), X, SUM
    yield "boosting_numbers", ensemble.GradientBoostingRegressor(n_estimators=60, random_state=0), X, SUM
    yield "ada_boost", ensemble.AdaBoostRegressor(n_estimators=8, random_state=0), X, SUM
    yield "perceptrons_numbers", neural_network.MLPRegressor(hidden_layer_sizes=(12,), max_iter=60, random_state=0), X, SUM


def transformers():
    yield "standard_scaler", preprocessing.StandardScaler(), X
    yield "min_max_scaler", preprocessing.MinMaxScaler(), X
    yield "max_abs_scaler", preprocessing.MaxAbsScaler(), X
    yield "robust_scaler", preprocessing.RobustScaler(), X
    yield "normalizer_l1", preprocessing.Normalizer("l1"), X
    yield "normalizer_l2", preprocessing.Normalizer("l2"), X
    yield "binarizer", preprocessing.Binarizer(threshold=0.2), X
    yield "polynomial", preprocessing.PolynomialFeatures(2), X
    yield "imputer_mean", impute.SimpleImputer(), HOLES
    yield "imputer_constant", impute.SimpleImputer(strategy="constant", fill_value=3), HOLES
    yield "one_hot_integers", preprocessing.OneHotEncoder(sparse_output=False, handle_unknown="ignore"), COUNTS
    yield "one_hot_words", preprocessing.OneHotEncoder(sparse_output=False, handle_unknown="ignore"), TOWNS
    yield "ordinal_words", preprocessing.OrdinalEncoder(), TOWNS
    yield "bins", preprocessing.KBinsDiscretizer(4, encode="ordinal", strategy="uniform"), X
    yield "select", feature_selection.SelectKBest(k=3), X
    yield "variance", feature_selection.VarianceThreshold(1.0), X


def pipelines():
    both = preprocessing.FunctionTransformer()
    yield "scaled_svc", pipeline.make_pipeline(preprocessing.StandardScaler(), svm.SVC()), X, THREE
    yield "imputed_forest", pipeline.make_pipeline(
        impute.SimpleImputer(), preprocessing.StandardScaler(),
        ensemble.RandomForestClassifier(20, random_state=0)), HOLES, WORDS
    yield "union", pipeline.make_pipeline(
        pipeline.make_union(preprocessing.StandardScaler(), preprocessing.Normalizer(), both),
        linear_model.LogisticRegression(max_iter=500)), X, THREE
    yield "columns", pipeline.make_pipeline(
        compose.ColumnTransformer([("number", preprocessing.StandardScaler(), [0, 1, 2]), ("same", "passthrough", [4])]),
        ensemble.GradientBoostingClassifier(n_estimators=10, random_state=0)), X, TWO
    yield "towns", pipeline.make_pipeline(
        preprocessing.OneHotEncoder(handle_unknown="ignore"), linear_model.LogisticRegression()), TOWNS, WORDS


def input_type(x):
    kind = {"f": FloatTensorType, "i": Int64TensorType, "O": StringTensorType}[x.dtype.kind]
    return [("X", kind([None, x.shape[1]]))]


def run(sardonyx, model, feeds, stem):
    """Outputs by name, or the message of a failed run."""
    command = [sardonyx, "run", model, "-q", "-o", f"{stem}-out.npz"]
    for name, array in feeds.items():
        array = array.astype(str) if array.dtype == object else array
        numpy.save(f"{stem}-{name}.npy", array)
        command += ["-i", f"{name}={stem}-{name}.npy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return dict(numpy.load(f"{stem}-out.npz")) if done.returncode == 0 else done.stderr.strip()


def numbers_differ(got, want):
    want = numpy.asarray(want, dtype=numpy.float64).reshape(numpy.shape(got))
    error = numpy.abs(numpy.asarray(got, dtype=numpy.float64) - want).max()
    bound = BOUND * max(numpy.abs(want).max(), 0.1)
    return "" if error <= bound else f"error {error:.2e}, bound {bound:.2e}"


def labels_differ(got, want, scores):
    wrong = got.astype(str) != numpy.asarray(want).astype(str)
    if scores is not None and scores.ndim == 2:
        sorted_scores = numpy.sort(scores, axis=1)
        wrong &= sorted_scores[:, -1] - sorted_scores[:, -2] > 1e-5
    elif scores is not None:
        wrong &= numpy.abs(scores) > 1e-5
    return f"{wrong.sum()} labels differ" if wrong.any() else ""


def convert(estimator, x, folder, zipmap=False):
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "model.onnx")
    columns = 1 if hasattr(estimator, "classes_") else getattr(estimator, "n_outputs_", 1)
    final = [("variable", FloatTensorType([None, columns]))] if columns > 1 else None  # declared with one, otherwise
    settings = {"initial_types": input_type(x), "final_types": final, "target_opset": OPSETS}
    try:
        model = to_onnx(estimator, options={id(estimator): {"zipmap": zipmap}}, **settings)
    except NameError:  # there is no such option where nothing is zipped
        model = to_onnx(estimator, **settings)
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
    return path


def check_classifier(sardonyx, estimator, x, folder):
    path = convert(estimator, x, folder)
    for rows in BATCHES:
        got = run(sardonyx, path, {"X": x[:rows]}, os.path.join(folder, f"rows{rows}"))
        if isinstance(got, str):
            return got
        label, score = got.values()
        probable = hasattr(estimator, "predict_proba")
        scores = estimator.predict_proba(x[:rows]) if probable else estimator.decision_function(x[:rows])
        problem = labels_differ(label, estimator.predict(x[:rows]), scores)
        if not problem and probable:
            problem = numbers_differ(score, scores)
        if problem:
            return f"{rows} rows: {problem}"
    return ""


def check_numbers(sardonyx, estimator, x, folder, predict):
    path = convert(estimator, x, folder)
    for rows in BATCHES:
        got = run(sardonyx, path, {"X": x[:rows]}, os.path.join(folder, f"rows{rows}"))
        if isinstance(got, str):
            return got
        problem = numbers_differ(next(iter(got.values())), predict(x[:rows]))
        if problem:
            return f"{rows} rows: {problem}"
    return ""


def check_outliers(sardonyx, folder):
    estimator = svm.OneClassSVM(nu=0.2).fit(X)
    path = convert(estimator, X, folder)
    got = run(sardonyx, path, {"X": X[:100]}, os.path.join(folder, "rows"))
    if isinstance(got, str):
        return got
    label, score = got.values()
    margin = estimator.decision_function(X[:100])
    wrong = (label.ravel() != estimator.predict(X[:100])) & (numpy.abs(margin) > 1e-5)
    return f"{wrong.sum()} labels differ" if wrong.any() else numbers_differ(score, margin)


def check_clusters(sardonyx, folder):
    estimator = cluster.KMeans(4, n_init=2, random_state=0).fit(X)
    path = convert(estimator, X, folder)
    got = run(sardonyx, path, {"X": X[:100]}, os.path.join(folder, "rows"))
    if isinstance(got, str):
        return got
    label, score = got.values()
    wrong = (label != estimator.predict(X[:100])).sum()
    return f"{wrong} labels differ" if wrong else numbers_differ(score, estimator.transform(X[:100]))


def standard_words(path):
    """Pieces between spaces instead of the converter's own Tokenizer, which is no operator of ONNX."""
    model = onnx.load(path)
    for node in model.graph.node:
        if node.op_type == "Tokenizer":
            node.CopyFrom(onnx.helper.make_node("StringSplit", list(node.input), [node.output[0], "lengths"]))
    kept = [opset for opset in model.opset_import if opset.domain != "com.microsoft"]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def check_text(sardonyx, folder, vectorizer):
    estimator = pipeline.make_pipeline(vectorizer, linear_model.LogisticRegression())
    labels = RANDOM.integers(0, 3, size=200)
    words = numpy.array(["ash", "birch", "cedar", "oak", "pine", "yew", "Elm", "willow"])
    lines = [" ".join(words[RANDOM.integers(0, 8 - 2 * label, size=1 + label * 3)]) for label in labels]
    lines = numpy.array(lines, dtype=object)
    estimator.fit(lines, labels)
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, "model.onnx")
    onnx.save(to_onnx(estimator, initial_types=[("X", StringTensorType([None]))], target_opset={**OPSETS, "": 20},
                      options={id(estimator): {"zipmap": False}}), path)
    standard_words(path)
    got = run(sardonyx, path, {"X": lines}, os.path.join(folder, "rows"))
    if isinstance(got, str):
        return got
    label, score = got.values()
    want = estimator.predict_proba(lines)
    return labels_differ(label, estimator.predict(lines), want) or numbers_differ(score, want)


def check_words(sardonyx, folder):
    return check_text(sardonyx, folder, text.CountVectorizer())


def check_weighted_words(sardonyx, folder):
    return check_text(sardonyx, folder, text.TfidfVectorizer())


def check_word_pairs(sardonyx, folder):
    return check_text(sardonyx, folder, text.TfidfVectorizer(ngram_range=(1, 2), norm="l1"))


def check_maps(sardonyx, folder):
    """Probabilities as a sequence of maps."""
    estimator = linear_model.LogisticRegression().fit(X, WORDS)
    path = convert(estimator, X, folder, zipmap=True)
    got = run(sardonyx, path, {"X": X[:3]}, os.path.join(folder, "rows"))
    if isinstance(got, str):
        return got
    keys = [got[name] for name in sorted(got) if name.endswith(".keys")]
    values = [got[name] for name in sorted(got) if name.endswith(".values")]
    if len(keys) != 3 or any(list(k.astype(str)) != list(estimator.classes_) for k in keys):
        return f"outputs are {sorted(got)}"
    return numbers_differ(numpy.stack(values), estimator.predict_proba(X[:3]))


def cases(sardonyx, root):
    def folder(name):
        return os.path.join(root, name)

    for name, estimator, x, y in [*classifiers(), *pipelines()]:
        yield name, lambda: check_classifier(sardonyx, estimator.fit(x, y), x, folder(name))
    for name, estimator, x, y in regressors():
        yield name, lambda: check_numbers(sardonyx, estimator.fit(x, y), x, folder(name), estimator.predict)
    for name, estimator, x in transformers():
        yield name, lambda: check_numbers(sardonyx, estimator.fit(x, THREE), x, folder(name), estimator.transform)
    for check in (check_outliers, check_clusters, check_maps, check_words, check_weighted_words, check_word_pairs):
        name = check.__name__[6:]
        yield name, lambda: check(sardonyx, folder(name))


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    passed = failed = 0
    wanted = sys.argv[3:]
    for name, check in cases(*sys.argv[1:3]):
        if wanted and name not in wanted:
            continue
        problem = check()
        print(f"{'FAIL' if problem else 'ok  '} {name}{': ' + problem if problem else ''}", flush=True)
        passed, failed = passed + (not problem), failed + bool(problem)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
