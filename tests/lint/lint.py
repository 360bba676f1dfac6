#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Rules of the house that a compiler does not check. Each rule is one test.

usage: lint.py BUILD_FOLDER [RULE...]      rules: includes banned sizes registry licence format symbols tidy
"""
import concurrent.futures
import os
import re
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
MOST_LINES, MOST_FUNCTION_LINES = 600, 80

# folder -> what its files may include; the longest matching prefix decides.
ALLOWED = {
    "include": (),
    "runtime/base": ("runtime/base", "sardonyx.h"),
    "proto": ("runtime/base", "proto", "sardonyx.h"),
    "runtime/graph": ("runtime/base", "runtime/graph", "sardonyx.h"),
    "ops": ("runtime/base", "runtime/graph", "ops", "sardonyx.h"),
    "ops/kernels": ("runtime/base", "ops/kernels", "sardonyx.h"),
    "runtime/load": ("runtime", "ops/op.h", "ops/registry.h", "proto", "sardonyx.h"),
    "runtime/pass": ("runtime", "ops/op.h", "ops/registry.h", "ops/kernels/kernels.h", "sardonyx.h"),
    "runtime/plan": ("runtime", "ops/op.h", "ops/registry.h", "sardonyx.h"),
    "runtime/exec": ("runtime", "ops/op.h", "ops/registry.h", "ops/kernels/kernels.h", "sardonyx.h"),
    "runtime/api.c": ("runtime", "ops/op.h", "ops/registry.h", "proto/proto.h", "sardonyx.h"),
}
BANNED = ("printf", "fprintf", "puts", "putchar", "perror", "exit", "abort", "_exit", "strcpy", "strcat", "sprintf",
          "gets", "alloca", "strtok", "setlocale", "signal", "atoi", "atol", "atof", "rand", "srand", "system", "popen")
ALLOCATORS = ("malloc", "calloc", "realloc", "free", "aligned_alloc", "posix_memalign")


def sources(*folders, endings=(".c", ".h")):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", *folders], cwd=ROOT, text=True,
                            capture_output=True, check=True)
    return [path for path in listed.stdout.split("\n")
            if path.endswith(endings) and os.path.exists(os.path.join(ROOT, path))]


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def without_comments(text):
    """Comments and string contents blanked, line structure kept."""
    def blank(match):
        found = match.group(0)
        return '""' if found[0] == '"' else "''" if found[0] == "'" else re.sub(r"[^\n]", " ", found)
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def rule_includes():
    """Who may include whom."""
    for path in sources("include", "proto", "runtime", "ops"):
        prefixes = [p for p in ALLOWED if path == p or path.startswith(p + "/")]
        if not prefixes:
            continue
        allowed = ALLOWED[max(prefixes, key=len)]
        for name in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text_of(path), re.M):
            near = os.path.exists(os.path.join(ROOT, os.path.dirname(path), name)) and "/" not in name
            if not near and not any(name == a or name.startswith(a + "/") for a in allowed):
                yield f"{path} includes {name}; allowed: {', '.join(allowed)}"


def rule_banned():
    """The library never prints, exits or aborts; operators never allocate."""
    for path in sources("proto", "runtime", "ops"):
        banned = BANNED + (ALLOCATORS if path.startswith("ops/") else ())
        text = without_comments(text_of(path))
        for number, line in enumerate(text.split("\n"), 1):
            for name in re.findall(r"(?<![\w.>])(\w+)\s*\(", line):
                if name in banned:
                    yield f"{path}:{number} calls {name}"


def functions(text):
    """(name, first line, length) of every function definition, by brace depth."""
    lines, depth, start, name = without_comments(text).split("\n"), 0, 0, None
    for number, line in enumerate(lines, 1):
        if line.startswith("#"):
            continue
        if depth == 0:
            match = re.match(r"^[A-Za-z_].*?(\w+)\s*\(", line)
            if match:
                start, name = number, match.group(1)
        before = depth
        depth += line.count("{") - line.count("}")
        if before > 0 and depth == 0 and name and line.startswith("}") and not re.search(r"[=;,]", line):
            yield name, start, number - start + 1
            name = None
        depth = max(depth, 0)


def rule_sizes():
    """Files under 600 lines, functions under 80."""
    for path in sources("include", "proto", "runtime", "ops", "tools", "tests", endings=(".c", ".h", ".inc", ".py")):
        text = text_of(path)
        count = text.count("\n")
        if count >= MOST_LINES:
            yield f"{path} has {count} lines; under {MOST_LINES} are allowed"
        if path.endswith((".c", ".h", ".inc")):
            for name, start, length in functions(text):
                if length >= MOST_FUNCTION_LINES:
                    yield f"{path}:{start} {name} has {length} lines; under {MOST_FUNCTION_LINES} are allowed"


def rule_registry():
    """ops.def is sorted; every operator listed is defined in one file."""
    names = re.findall(r"^SDX_OP\((\w+)\)", text_of("ops/ops.def"), re.M)
    if names != sorted(names):
        yield f"ops/ops.def is not sorted at {next(a for a, b in zip(names, sorted(names)) if a != b)}"
    for name in {n for n in names if names.count(n) > 1}:
        yield f"ops/ops.def lists {name} twice"


def rule_licence():
    """One SPDX line near the top of every source file."""
    for path in sources(".", endings=(".c", ".h", ".inc", ".py", ".sh", ".cmake", "CMakeLists.txt", ".proto")):
        if "SPDX-License-Identifier: Apache-2.0" not in text_of(path)[:400]:
            yield f"{path} has no SPDX line"


def rule_format():
    """clang-format has nothing to change."""
    paths = sources("include", "proto", "runtime", "ops", "tools", "tests")
    done = subprocess.run(["clang-format", "--dry-run", *paths], cwd=ROOT, text=True, capture_output=True, check=False)
    for path in sorted(set(re.findall(r"^(\S+?):\d+:\d+: warning", done.stderr, re.M))):
        yield f"{path} is not as clang-format writes it"


def rule_symbols():
    """The shared library exports what the public headers declare, and reaches nothing that prints or ends."""
    library = os.path.join(BUILD, "libsardonyx.so")
    declared = set()
    for header in sources("include"):
        declared |= set(re.findall(r"(?<!define )SDX_API[^;]*?(\w+)\s*\(", without_comments(text_of(header))))
    exported, needed = set(), set()
    for line in subprocess.run(["nm", "-D", library], text=True, capture_output=True, check=True).stdout.split("\n"):
        match = re.match(r"^\S*\s+([TUWw])\s+(\w+)", line)
        if match:
            (exported if match.group(1) == "T" else needed).add(match.group(2))
    for name in sorted(declared - exported):
        yield f"{name} is declared and not exported"
    for name in sorted(exported - declared):
        yield f"{name} is exported and not declared"
    for name in sorted(needed & {"exit", "abort", "_exit", "printf", "puts", "putchar", "perror", "setlocale"}):
        yield f"the library calls {name}"


def rule_tidy():
    """clang-tidy with the checks of .clang-tidy finds nothing."""
    def tidy(path):
        done = subprocess.run(["clang-tidy", "-p", BUILD, "--quiet", path], cwd=ROOT, text=True, capture_output=True,
                              check=False)
        return sorted(set(re.findall(r"^\S*?((?:proto|runtime|ops|tools)/\S+: (?:warning|error): .*)$", done.stdout,
                                     re.M)))
    paths = [p for p in sources("proto", "runtime", "ops", "tools", endings=(".c",)) if "/kernels/" not in p]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(tidy, paths):
            yield from found


def main():
    global BUILD
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    BUILD = os.path.abspath(sys.argv[1])
    rules = {name[5:]: rule for name, rule in globals().items() if name.startswith("rule_")}
    failed = 0
    names = sys.argv[2:] or rules
    for name in names:
        found = sorted(set(rules[name]()))
        failed += bool(found)
        print(f"{'FAIL' if found else 'ok  '} {name}: {rules[name].__doc__}")
        for line in found[:100]:
            print(f"     {line}")
    print(f"{len(names) - failed} passed, {failed} failed, 0 skipped")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
