# SPDX-License-Identifier: Apache-2.0
"""The known differences as rules: differences.md says of each who is right and why. A rule holds for the narrowest
condition that explains what was seen; whatever no rule explains fails."""
RULES = []
ALWAYS = ("rounding",)  # found by worker.py


def rule(name, ops, condition):
    RULES.append((name, set(ops.split()) if ops else None, condition))


def no_referee(draw, who):
    """Where a referee does not compute the operator at all, or dies of it."""
    return False


def explain(draw, ours, theirs, who, found):
    for name, ops, condition in RULES:
        if (ops is None or draw.op in ops) and condition(draw, ours, theirs, who, found):
            return name
    return None
