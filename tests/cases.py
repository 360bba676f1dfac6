# SPDX-License-Identifier: Apache-2.0
"""Runs named cases, each of which says what is wrong; prints that, and the closing line that tests/run counts."""
import sys


def run(cases, words=()):
    """cases: (name, function) with what the function returns being a list of sentences; none: the case passes. Of
    `words`, one must be part of the name. Ends the process."""
    passed, failed = 0, 0
    for name, check in cases:
        if words and not any(word in name for word in words):
            continue
        try:
            wrong = list(check())
        except Exception as problem:  # pylint: disable=broad-except
            wrong = [f"{type(problem).__name__}: {problem}"]
        passed, failed = passed + (not wrong), failed + bool(wrong)
        for line in wrong:
            print(f"FAIL {name}: {line}", flush=True)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed > 0)
