# SPDX-License-Identifier: Apache-2.0
"""The domain ai.onnx.ml."""
import numpy
from onnx import helper

from draw import F32, NUMPY, STRING, recipe
from model import tensor_of

ML = "ai.onnx.ml"
TRANSFORMS = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"]


def reals(d, n, low=-2, high=2):
    return [d.real(low, high) for _ in range(n)]


def labels(d, n, strings=None):
    """Class labels as an attribute; returns the element type of the label output."""
    if d.chance(0.5) if strings is None else strings:
        d.attributes["classlabels_strings"] = [f"class {k}" for k in range(n)]
        return STRING
    name = "classlabels_ints" if d.has("classlabels_ints") else "classlabels_int64s"
    d.attributes[name] = [int(k) for k in d.rng.permutation(3 * n)[:n]]
    return 7


def transform(d, among=("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO")):
    return d.maybe("post_transform", d.pick(list(among)))


@recipe("ArrayFeatureExtractor", domain=ML)
def array_feature_extractor(d):
    shape = d.shape(2, 3, dim=1)
    d.x(shape)
    d.ints(d.rng.integers(0, shape[-1], [1, d.between(1, 5)] if d.chance(0.5) else [d.between(1, 5)]))


@recipe("Binarizer", domain=ML)
def binarizer(d):
    d.maybe("threshold", d.real(-1, 1))
    d.x(d.shape(1, 3), "tame")


@recipe("Scaler", domain=ML)
def scaler(d):
    n = d.between(1, 9)
    d.attributes.update(offset=reals(d, d.pick([1, n])), scale=reals(d, 1))
    d.attributes["scale"] = reals(d, len(d.attributes["offset"]), 0.1)
    d.x([d.between(1, 9), n], "tame")


@recipe("Normalizer", domain=ML)
def normalizer(d):
    d.maybe("norm", d.pick(["MAX", "L1", "L2"]))
    d.x([d.between(1, 9), d.between(1, 9)], "tame")


@recipe("Imputer", domain=ML)
def imputer(d):
    n = d.between(1, 9)
    if d.dtype("T") in (1, 11):
        d.attributes.update(imputed_value_floats=reals(d, d.pick([1, n])), replaced_value_float=d.pick([0.0, numpy.nan]))
    else:
        d.attributes.update(imputed_value_int64s=[d.between(-9, 9)] * d.pick([1, n]), replaced_value_int64=0)
    x = d.x([d.between(1, 9), n], (0, 2))
    if x.dtype.kind == "f":
        x[d.rng.random(x.shape) < 0.3] = d.attributes["replaced_value_float"]


@recipe("FeatureVectorizer", domain=ML)
def feature_vectorizer(d):
    n, sizes = d.between(1, 5), [d.between(1, 4) for _ in range(d.between(1, 4))]
    d.attributes["inputdimensions"] = sizes
    for size in sizes:
        d.x([n, size], "tame")


@recipe("OneHotEncoder", domain=ML)
def one_hot_encoder(d):
    d.maybe("zeros", 1)
    d.attributes["zeros"] = d.attributes.get("zeros", 1)
    shape = d.shape(1, 2, dim=1, most=100)
    if d.dtype("T") == STRING:
        d.attributes["cats_strings"] = ["a", "A", "abc", "1.5"]
        d.x(shape)
    else:
        d.attributes["cats_int64s"] = [0, 2, 1, 5]
        d.x(shape, d.rng.integers(0, 6, shape))


@recipe("LabelEncoder", domain=ML)
def label_encoder(d):
    n, kinds = d.between(1, 6), {"floats": 1, "int64s": 7, "strings": 8}
    if d.since == 1:
        number = d.dtype("T1")
        d.types["T2"] = STRING if number == 7 else 7
        d.attributes["classes_strings"] = ["a", "A", "abc"]
        d.x(d.shape(1, 2), (0, 3))
        d.out()
        return
    a, b = d.pick(sorted(kinds)), d.pick(sorted(kinds))
    allowed = [a for a in sorted(kinds) if f"tensor({ {1: 'float', 7: 'int64', 8: 'string'}[kinds[a]]})"
               in d.allowed("T1")]
    a = d.pick(allowed)
    keys = {"floats": [float(k) for k in range(n)], "int64s": list(range(n)), "strings": ["a", "A", "abc", "0", "", "x"][:n]}
    values = {"floats": reals(d, n), "int64s": [d.between(-9, 9) for _ in range(n)], "strings": [f"v{k}" for k in range(n)]}
    d.attributes["keys_" + a], d.attributes["values_" + b] = keys[a], values[b]
    d.types.update(T1=kinds[a], T2=kinds[b])
    shape = d.shape(1, 2)
    d.x(shape, None if a == "strings" else d.rng.integers(0, n + 1, shape))


@recipe("CategoryMapper", domain=ML)
def category_mapper(d):
    d.attributes.update(cats_strings=["a", "A", "abc"], cats_int64s=[3, 1, 2])
    number = d.dtype("T1")
    d.types["T2"] = STRING if number == 7 else 7
    d.maybe("default_string", "other")
    d.maybe("default_int64", -5)
    d.x(d.shape(1, 2), (0, 4))


@recipe("DictVectorizer", domain=ML)
def dict_vectorizer(d):
    if d.chance(0.5):
        words = ["a", "b", "c", "d"]
        d.attributes["string_vocabulary"] = words
    else:
        words = [1, 5, 7, 2]
        d.attributes["int64_vocabulary"] = words
    keys = [words[k] for k in d.rng.permutation(4)[:d.between(1, 4)]]
    whole = isinstance(keys[0], str) and d.chance(0.5)
    d.give({k: d.between(-9, 9) if whole else numpy.float32(d.real(-2, 2)) for k in keys})
    d.out(7 if whole else F32)


@recipe("CastMap", domain=ML)
def cast_map(d):
    to = d.attributes["cast_to"] = d.pick(["TO_FLOAT", "TO_STRING", "TO_INT64"])
    sparse = d.chance(0.5)
    if sparse:
        d.attributes.update(map_form="SPARSE", max_map=6)
    d.give({int(k): numpy.float32(d.between(-9, 9)) for k in sorted(d.rng.permutation(6)[:d.between(1, 6)])})
    d.out({"TO_FLOAT": F32, "TO_STRING": STRING, "TO_INT64": 7}[to])


@recipe("ZipMap", domain=ML)
def zip_map(d):
    n = d.between(1, 4)
    strings = labels(d, n) == STRING
    d.x([d.between(1, 4), n], "tame")
    kind = helper.make_map_type_proto(8 if strings else 7, helper.make_tensor_type_proto(F32, []))
    d.out(helper.make_sequence_type_proto(kind))


@recipe("LinearRegressor", domain=ML)
def linear_regressor(d):
    n, targets = d.between(1, 9), d.between(1, 4)
    d.attributes.update(coefficients=reals(d, n * targets), targets=targets)
    d.maybe("intercepts", reals(d, targets))
    transform(d, ("NONE", "SOFTMAX", "LOGISTIC") if targets > 1 else ("NONE",))
    d.x([d.between(1, 9), n], "tame", only=(F32,))
    d.noise = 1e-5


@recipe("LinearClassifier", domain=ML)
def linear_classifier(d):
    n, classes = d.between(1, 9), d.between(3, 5)
    d.attributes.update(coefficients=reals(d, n * classes), intercepts=reals(d, classes))
    d.types["T2"] = labels(d, classes)
    d.maybe("multi_class", d.below(2))
    transform(d)
    d.x([d.between(1, 9), n], "tame")
    d.out()
    d.out(F32)
    d.noise = 1e-5


def kernel(d):
    d.attributes["kernel_type"] = d.pick(["LINEAR", "POLY", "RBF", "SIGMOID"])
    d.attributes["kernel_params"] = [d.real(0.1, 1), d.real(0, 1), float(d.between(1, 3))]


@recipe("SVMRegressor", domain=ML)
def svm_regressor(d):
    n, vectors = d.between(1, 6), d.between(1, 6)
    kernel(d)
    d.attributes.update(support_vectors=reals(d, n * vectors), coefficients=reals(d, vectors), rho=reals(d, 1),
                        n_supports=vectors)
    d.maybe("one_class", d.below(2))
    d.x([d.between(1, 9), n], "tame", only=(F32,))
    d.noise = 1e-4


@recipe("SVMClassifier", domain=ML)
def svm_classifier(d):
    n, classes = d.between(1, 6), d.between(2, 4)
    per = [d.between(1, 3) for _ in range(classes)]
    kernel(d)
    pairs = classes * (classes - 1) // 2
    d.attributes.update(support_vectors=reals(d, n * sum(per)), coefficients=reals(d, (classes - 1) * sum(per)),
                        rho=reals(d, pairs), vectors_per_class=per)
    if d.chance(0.4):
        d.attributes.update(prob_a=reals(d, pairs, -2, -0.1), prob_b=reals(d, pairs))
    d.types["T2"] = labels(d, classes)
    d.x([d.between(1, 9), n], "tame", only=(F32,))
    d.out()
    d.out(F32)
    d.noise = 1e-4


MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]


def grow(d, features, trees):
    """Random trees as node columns; leaves as (tree, node)."""
    nodes, leaves = {k: [] for k in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids",
                                     "falsenodeids", "hitrates", "missing_value_tracks_true")}, []
    one = d.pick(MODES) if d.chance(0.7) else None
    for tree in range(trees):
        pending, used = [(0, 0)], 1
        while pending:
            node, depth = pending.pop(0)
            leaf = depth == 3 or (depth and d.chance(0.3))
            true, false = (0, 0) if leaf else (used, used + 1)
            row = (tree, node, d.below(features), d.pick([d.real(-1, 1), 0.0, 1.0]) if not leaf else 0.0,
                   "LEAF" if leaf else one or d.pick(MODES), true, false, 1.0, d.below(2) if not leaf else 0)
            for column, value in zip(nodes.values(), row):
                column.append(value)
            if leaf:
                leaves.append((tree, node))
            else:
                pending += [(true, depth + 1), (false, depth + 1)]
                used += 2
    return nodes, leaves


@recipe("TreeEnsembleRegressor", "TreeEnsembleClassifier", domain=ML)
def tree_ensemble_old(d):
    features, outputs = d.between(1, 5), d.between(3, 5) if d.op.endswith("Classifier") else d.between(1, 3)
    nodes, leaves = grow(d, features, d.between(1, 4))
    d.attributes.update({"nodes_" + name: column for name, column in nodes.items()})
    rows = [(t, n, int(k), d.real(-1, 1)) for t, n in leaves for k in d.rng.permutation(outputs)[:d.between(1, 2)]]
    kind = "class" if d.op.endswith("Classifier") else "target"
    if kind == "class":
        rows = [(t, n, c, d.real(0.1, 1)) for t, n in leaves for c in range(outputs)]
    for name, column in zip(("treeids", "nodeids", "ids", "weights"), zip(*rows)):
        d.attributes[f"{kind}_{name}"] = list(column)
    d.maybe("base_values", reals(d, outputs), 0.3)
    if kind == "class":
        d.types["T2"] = labels(d, outputs)
        transform(d)
    else:
        d.attributes["n_targets"] = outputs
        d.maybe("aggregate_function", d.pick(["SUM", "AVERAGE", "MIN", "MAX"]))
    x = d.x([d.between(1, 40), features], d.pick(["tame", (-1, 1)]))
    if x.dtype.kind == "f" and d.chance(0.3):
        x[d.rng.random(x.shape) < 0.2] = numpy.nan
    d.out()
    if kind == "class":
        d.out(F32)
    d.noise = 1e-5


@recipe("TreeEnsemble", domain=ML)
def tree_ensemble(d):
    features, targets, number = d.between(1, 5), d.between(1, 3), d.dtype("T")
    inner, leaf = {"feature": [], "split": [], "mode": [], "true": [], "tleaf": [], "false": [], "fleaf": []}, []
    roots = []

    def branch(depth):
        """(index, whether it is a leaf)"""
        if depth == 3 or (depth and d.chance(0.3)):
            leaf.append((d.below(targets), d.real(-1, 1)))
            return len(leaf) - 1, 1
        mine = len(inner["feature"])
        for name in inner:
            inner[name].append(0)
        inner["feature"][mine], inner["split"][mine] = d.below(features), d.real(-1, 1)
        inner["mode"][mine] = d.below(6)
        inner["true"][mine], inner["tleaf"][mine] = branch(depth + 1)
        inner["false"][mine], inner["fleaf"][mine] = branch(depth + 1)
        return mine, 0
    for _ in range(d.between(1, 3)):
        roots.append(branch(0)[0])
    d.attributes.update(
        nodes_featureids=inner["feature"], nodes_splits=tensor_of("s", numpy.array(inner["split"], NUMPY[number])),
        nodes_modes=tensor_of("m", numpy.array(inner["mode"], numpy.uint8)), nodes_truenodeids=inner["true"],
        nodes_trueleafs=inner["tleaf"], nodes_falsenodeids=inner["false"], nodes_falseleafs=inner["fleaf"],
        leaf_targetids=[t for t, _ in leaf], leaf_weights=tensor_of("w", numpy.array([w for _, w in leaf], NUMPY[number])),
        tree_roots=roots, n_targets=targets)
    d.maybe("aggregate_function", d.below(4))
    d.x([d.between(1, 20), features], "tame")
    d.noise = 1e-5 if number != 10 else 4e-3
