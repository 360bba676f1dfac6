# SPDX-License-Identifier: Apache-2.0
"""Operators on strings."""
import numpy

from draw import recipe


@recipe("StringConcat")
def string_concat(d):
    shape = d.shape(most=200)
    d.x(d.broadcastable(shape))
    d.x(d.broadcastable(shape))


@recipe("StringSplit")
def string_split(d):
    d.maybe("delimiter", d.pick(["", " ", ",", "a"]))
    d.maybe("maxsplit", d.between(0, 3))
    d.x(d.shape(0, 2, dim=1, most=100))
    d.out()
    d.out(7)


@recipe("StringNormalizer")
def string_normalizer(d):
    d.maybe("case_change_action", d.pick(["LOWER", "UPPER", "NONE"]))
    d.maybe("is_case_sensitive", d.below(2))
    plain = d.maybe("locale", "C")
    d.maybe("stopwords", [d.pick(["a", "abc", "x", "the quick"]) for _ in range(d.between(1, 3))])
    x = d.x(d.pick([[d.between(1, 9)], [1, d.between(1, 9)]]))
    if plain:  # such a locale knows no other letters
        x[...] = [[text.encode("ascii", "ignore").decode() for text in row] for row in x.reshape(1, -1)][0]


@recipe("RegexFullMatch")
def regex_full_match(d):
    d.attributes["pattern"] = d.pick([r"[a-z]+", r".*", r"-?\d+(\.\d+)?", r"(a|abc)?", r"\w+ \w+", r"[^,]*", r"\p{L}+",
                                      r"x(,[yz]?)*", r"(?i)ABC"])
    d.x(d.shape(most=200))
    d.out(9)


@recipe("TfIdfVectorizer")
def tf_idf_vectorizer(d):
    pool, counts = [2, 3, 5, 4, 5, 6, 7, 8, 6, 7], [0, 4]
    d.attributes.update(mode=d.pick(["TF", "IDF", "TFIDF"]), min_gram_length=d.between(1, 2), max_gram_length=2,
                        max_skip_count=d.below(4), ngram_counts=counts, ngram_indexes=[0, 1, 2, 3, 4, 5, 6])
    if d.dtype("T") == 8:
        d.attributes["pool_strings"] = [str(k) for k in pool]
    else:
        d.attributes["pool_int64s"] = pool
    d.maybe("weights", [d.real(0.1, 2) for _ in range(7)])
    shape = d.pick([[d.between(1, 20)], [d.between(1, 4), d.between(1, 12)]])
    values = d.rng.integers(1, 9, shape)
    number = d.dtype("T")
    d.give(numpy.array([str(v) for v in values.flat], object).reshape(shape) if number == 8 else
           values.astype(numpy.int32 if number == 6 else numpy.int64))
    d.out(1)
