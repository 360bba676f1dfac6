# SPDX-License-Identifier: Apache-2.0
"""Operators on strings."""
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
    d.maybe("stopwords", [d.pick(["a", "abc", "x", "the quick"]) for _ in range(d.between(1, 3))])
    d.x(d.pick([[d.between(1, 9)], [1, d.between(1, 9)]]))
