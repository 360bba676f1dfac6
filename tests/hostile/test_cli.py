#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command line against bad files, bad data and wrong usage: exit status, words of the message, nothing half-written.

usage: test_cli.py SARDONYX
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper
from onnx import load_model

TOOL = os.path.abspath(sys.argv[1]) if len(sys.argv) == 2 else sys.exit(__doc__)
MANUAL = open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "sardonyx.1")).read()
DONE, DIFFERS, USAGE, REFUSED, ENDED = range(5)
passed = failed = 0


def run(*arguments, timeout=60):
    done = subprocess.run([TOOL, *arguments], capture_output=True, timeout=timeout, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def check(name, good, detail=""):
    global passed, failed
    passed += bool(good)
    failed += not good
    if not good:
        print(f"FAIL {name}: {detail}")


def expect(name, arguments, status, *words):
    """Runs and compares; a refusal is one line that begins with 'sardonyx: ' and holds the words."""
    before = listing()
    found, out, err = run(*arguments)
    text = out + err
    good = found == status and all(word in text for word in words)
    if status in (USAGE, REFUSED, ENDED):
        lines = [line for line in err.split("\n") if line.startswith("sardonyx: ")]
        good = good and len(lines) == 1 and "/work" not in err.replace(os.getcwd(), "") and "Traceback" not in err
        if listing() != before:
            check(name + " (files)", False, f"new files: {sorted(listing() - before)}")
    check(name, good, f"status {found}, expected {status} with {words}: {text[-500:]!r}")


def listing():
    return {os.path.join(folder, name) for folder, _, names in os.walk(".") for name in names}


def model(nodes, inputs, outputs, initializers=(), opset=17):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def info(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def write(path, data):
    folder = os.path.dirname(path)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def prepare():
    add = model([helper.make_node("Add", ["a", "b"], ["y"], name="sum")], [info("a", ["n", 3]), info("b", [1, 3])],
                [info("y", ["n", 3])]).SerializeToString()
    write("add.onnx", add)
    write("half.onnx", add[:len(add) // 2])
    write("empty.onnx", b"")
    write("text.onnx", b'{"json": true}\n' * 50)
    os.mkdir("folder")
    os.mkfifo("pipe.onnx")
    unknown = model([helper.make_node("NoSuchOp", ["a"], ["t"]), helper.make_node("Absent", ["t"], ["y"], domain="x.y")],
                    [info("a", [1])], [info("y", [1])])
    unknown.opset_import.append(helper.make_opsetid("x.y", 1))
    write("unknown.onnx", unknown.SerializeToString())
    a, b = np.ones((2, 3), np.float32), np.full((1, 3), 2, np.float32)
    np.save("a.npy", a)
    np.save("b.npy", b)
    np.save("a64.npy", a.astype(np.float64))
    np.save("a4.npy", np.ones((2, 4), np.float32))
    np.save("rank3.npy", np.ones((2, 1, 3), np.float32))
    np.save("object.npy", np.array([{}], object), allow_pickle=True)
    np.savez("ab.npz", a=a, b=b)
    np.savez_compressed("packed.npz", a=a, b=b)
    np.savez("other.npz", c=a)
    np.savez("good.npz", y=a + b)
    np.savez("wrong.npz", y=a)
    np.savez("more.npz", y=a + b, z=a)
    np.savez("none.npz")
    write("a.pb", numpy_helper.from_array(a, "a").SerializeToString())
    write("bad.npy", open("a.npy", "rb").read()[:-5])
    write("bad.npz", open("ab.npz", "rb").read()[:200])
    write("bad.pb", b"\xff" * 40)
    write("a.txt", b"1 2 3")
    loop_body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["c_out"]), helper.make_node("Add", ["v", "v"], ["v_out"])], "body",
        [info("i", [], TensorProto.INT64), info("c", [], TensorProto.BOOL), info("v", [1])],
        [info("c_out", [], TensorProto.BOOL), info("v_out", [1])])
    write("endless.onnx", model([helper.make_node("Loop", ["m", "go", "x"], ["y"], body=loop_body)],
                                [info("x", [1])], [info("y", [1])],
                                [numpy_helper.from_array(np.array(2**62, np.int64), "m"),
                                 numpy_helper.from_array(np.array(True), "go")]).SerializeToString())
    write("big.onnx", model([helper.make_node("Expand", ["x", "shape"], ["y"])],
                            [info("x", [1]), info("shape", [2], TensorProto.INT64)],
                            [info("y", None)]).SerializeToString())
    np.save("shape.npy", np.array([100000, 100000]))
    for name, output in (("pass", a + b), ("differ", a)):
        write(f"cases/{name}/model.onnx", add)
        for k, array in enumerate((a, b)):
            write(f"cases/{name}/test_data_set_0/input_{k}.pb", numpy_helper.from_array(array).SerializeToString())
        write(f"cases/{name}/test_data_set_0/output_0.pb", numpy_helper.from_array(output).SerializeToString())
    write("cases/nodata/model.onnx", add)
    write("cases/broken/model.onnx", add[:20])
    write("cases/broken/test_data_set_0/output_0.pb", b"")


AB = ("-i", "a=a.npy", "-i", "b=b.npy")


def usage():
    for arguments, word in ((("nothing",), "'nothing'"), ((), "a command"), (("run",), "MODEL"), (("run", "a", "b"), "2"),
                            (("run", "add.onnx", "--bad"), "'--bad'"), (("run", "add.onnx", "-i"), "'-i' wants"),
                            (("run", "add.onnx", "--threads", "0"), "'--threads'"),
                            (("run", "add.onnx", "--deadline", "soon"), "'--deadline'"),
                            (("run", "add.onnx", "--memory-limit", "lots"), "'--memory-limit'"),
                            (("bench", "add.onnx", "--runs", "x"), "'--runs'"), (("info",), "MODEL"),
                            (("info", "add.onnx", "--after=never"), "'never'"), (("check",), "MODEL"),
                            (("check", "add.onnx", "--freeze", "x"), "--train"), (("test",), "folder"),
                            (("check", "add.onnx", "-c", "c.json"), "--train"),
                            (("check", "add.onnx", "add.onnx", "--train"), "2 are given"),
                            (("train",), "MODEL"), (("train", "add.onnx"), "--data"),
                            (("train", "add.onnx", "--data", "ab.npz"), "-o OUT.onnx"),
                            (("train", "add.onnx", "--data", "ab.npz", "-o", "x.onnx", "--resume"), "--checkpoint"),
                            (("train", "add.onnx", "--checkpoint-every", "often"), "'--checkpoint-every'"),
                            (("train", "add.onnx", "--data"), "'--data' wants"), (("train", "a", "b"), "2 are given"),
                            (("train", "add.onnx", "--epochs", "3"), "'--epochs'"),
                            (("eval",), "MODEL"), (("eval", "add.onnx"), "--data"), (("eval", "a", "b"), "2 are given"),
                            (("eval", "add.onnx", "-o", "x.onnx"), "'-o'"),
                            (("gradcheck",), "MODEL"), (("gradcheck", "a", "b"), "2 are given"),
                            (("gradcheck", "add.onnx", "--shape"), "'--shape' wants"),
                            (("convert",), "MODEL"), (("convert", "a", "b", "-o", "c"), "2 are given"),
                            (("convert", "add.onnx", "-o"), "'-o' wants"), (("convert", "add.onnx"), "-o"),
                            (("convert", "add.onnx", "-o", "x.onnx", "--external-data", "a/b"), "'a/b'")):
        expect("usage " + " ".join(arguments), arguments, USAGE, "sardonyx: usage: ", word)
    for command in ("info", "check", "run", "test", "bench", "convert", "train", "eval", "gradcheck"):
        expect(f"help of {command}", (command, "--help"), DONE, f"usage: sardonyx {command}", "--memory-limit")
    expect("help", ("--help",), DONE, "Exit status")
    expect("version", ("--version",), DONE, ".")


def manual():
    """The manual page names every command and option that --help names."""
    text = MANUAL.replace("\\-", "-")
    commands = re.findall(r"^  (\w+) ", run("--help")[1], re.M)
    for command in commands:
        options = re.findall(r"(?<=[ ,])--[a-z-]+", run(command, "--help")[1].split("Options:")[-1])
        missing = [name for name in [f"sardonyx {command}", *options] if name not in text]
        check(f"manual of {command}", options and not missing, str(missing))


def models():
    for command in (("info",), ("check", "--train"), ("run",), ("bench", "--runs", "1"), ("convert", "-o", "out.onnx"),
                    ("gradcheck",), ("eval", "--data", "ab.npz"), ("train", "--data", "ab.npz", "-o", "out.onnx")):
        for file, status, words in (("missing.onnx", REFUSED, ("missing.onnx", "No such file")),
                                    ("folder", REFUSED, ("folder", "is a folder")),
                                    ("pipe.onnx", REFUSED, ("pipe.onnx", "not a regular file")),
                                    ("empty.onnx", REFUSED, ("malformed", "empty.onnx")),
                                    ("half.onnx", REFUSED, ("malformed", "half.onnx")),
                                    ("text.onnx", REFUSED, ("malformed", "text.onnx")),
                                    ("unknown.onnx", REFUSED, ("not implemented here", "NoSuchOp", "Absent"))):
            expect(f"{command[0]} {file}", (command[0], file, *command[1:]), status, *words)


def checks():
    expect("check", ("check", "add.onnx"), DONE, "runs: yes", "working memory")
    expect("check of shapes", ("check", "add.onnx", "--shape", "a=7"), DIFFERS, "runs: no", "'sum'")
    expect("check without parameters", ("check", "add.onnx", "--train"), DIFFERS, "trains: no", "no parameters")
    found = json.loads(run("check", "weights.onnx", "--train", "--json")[1])
    check("check in JSON", found["runs"] and "problems" in found and "trains" in found, str(found)[:300])


def data():
    for arguments, words in ((("-i", "a=missing.npy"), ("input 'a'", "missing.npy", "No such file")),
                             (("-i", "a=a64.npy"), ("element type not allowed", "'a'", "f64", "f32")),
                             (("-i", "a=a4.npy"), ("shapes do not fit", "'a'", "4", "3")),
                             (("-i", "a=rank3.npy"), ("shapes do not fit", "'a'", "3")),
                             (("-i", "a=other.npz"), ("no array named 'a'", "'c'")),
                             (("-i", "a=none.npz"), ("no array named 'a'", "nothing")),
                             (("-i", "a=bad.npy"), ("malformed", "bad.npy", "elements")),
                             (("-i", "a=bad.npz"), ("malformed", "bad.npz")),
                             (("-i", "a=bad.pb"), ("malformed", "bad.pb")),
                             (("-i", "a=object.npy"), ("object.npy", "'|O'")),
                             (("-i", "a=a.txt"), (".npy, .npz, .pb",)),
                             (("-i", "a=folder.npy"), ("No such file",)),
                             (("-i", "c=a.npy"), ("'c=a.npy'", "'a', 'b'")),
                             (("-i", "a.npy"), ("NAME=",)),
                             (("-i", "a=a.npy", "-i", "a=b.npy"), ("twice",)),
                             (("--shape", "a=2xthree"), ("'2xthree'", "1x3x224x224")),
                             (("--shape", "a=2x4"), ("shapes do not fit", "'a'")),
                             (("--shape", "z=2x4"), ("'z=2x4'",)),
                             (("--expect", "missing.npz"), ("missing.npz",))):
        expect("run " + " ".join(arguments), ("run", "add.onnx", "-q", *arguments), REFUSED, *words)
    expect("made-up inputs are said", ("run", "add.onnx", "--shape", "a=4x3"), DONE, "input 'a'", "f32[4,3]", "seed 0",
           "y: f32[4,3]")
    expect("npz and pb", ("run", "add.onnx", "-i", "a=a.pb", "-i", "b=packed.npz"), DONE, "[3, 3, 3")


def outputs():
    expect("same", ("run", "add.onnx", *AB, "--expect", "good.npz"), DONE, "same y")
    expect("differs", ("run", "add.onnx", *AB, "--expect", "wrong.npz"), DIFFERS, "FAIL y", "[0,0]", "6 of 6")
    expect("loose", ("run", "add.onnx", *AB, "--expect", "wrong.npz", "--rtol", "3"), DONE, "same y")
    expect("expected, not given", ("run", "add.onnx", *AB, "--expect", "more.npz"), DIFFERS, "FAIL z")
    expect("given, not expected", ("run", "add.onnx", *AB, "--expect", "other.npz"), DIFFERS, "FAIL y", "FAIL c")
    expect("no folder for the output", ("run", "add.onnx", *AB, "-o", "no/where.npz"), REFUSED, "no/where.npz")
    expect("output is a folder", ("run", "add.onnx", *AB, "-o", "cases/nodata.npz/x.npz"), REFUSED, "x.npz")
    expect("output over a file", ("run", "add.onnx", *AB, "-o", "a.txt"), REFUSED, "a.txt")
    run("run", "add.onnx", *AB, "-q", "-o", "out.npz", "--profile", "profile.json")
    check("npz for numpy", np.array_equal(np.load("out.npz")["y"], np.full((2, 3), 3, np.float32)))
    check("profile", json.load(open("profile.json"))["nodes"][0]["op_type"] == "Add")
    run("run", "add.onnx", *AB, "-q", "-o", "outputs")
    check("folder for numpy", np.array_equal(np.load("outputs/y.npy"), np.full((2, 3), 3, np.float32)))
    first = open("out.npz", "rb").read()
    run("run", "add.onnx", *AB, "-q", "-o", "out.npz")
    check("equal runs write equal files", open("out.npz", "rb").read() == first)
    for command in (("run", "add.onnx"), ("info", "add.onnx"), ("info", "--ops"), ("--help",)):
        with open("/dev/full", "w") as full:
            done = subprocess.run([TOOL, *command], stdout=full, stderr=subprocess.PIPE, check=False)
        check(f"standard output full: {command}", done.returncode == REFUSED and b"standard output" in done.stderr)
    check("no temporary files", not [f for f in listing() if f.endswith(".tmp")])
    a, b = (run("run", "add.onnx", "-q", "--seed", str(seed), "-o", f"s{seed}.npz")[0] for seed in (1, 2))
    check("the seed matters", a == b == 0 and open("s1.npz", "rb").read() != open("s2.npz", "rb").read())


def names():
    """Control bytes of a model's names never reach the terminal."""
    bad = "\x1b[31m\n"
    nodes = [helper.make_node("Add", ["a" + bad, "a" + bad], ["y" + bad], name="n" + bad)]
    ugly = model(nodes, [info("a" + bad, [2])], [info("y" + bad, [2])])
    ugly.producer_name, ugly.producer_version = "p" + bad, "1" + bad
    write("ugly.onnx", ugly.SerializeToString())
    np.savez("ugly.npz", **{"z" + bad: np.ones(2, np.float32)})
    write("cases/ugly/model.onnx", ugly.SerializeToString())
    write("cases/ugly/test_data_set_0/input_0.pb", numpy_helper.from_array(np.ones(2, np.float32)).SerializeToString())
    write("cases/ugly/test_data_set_0/output_0.pb", numpy_helper.from_array(np.ones(2, np.float32)).SerializeToString())
    for command in (("info", "ugly.onnx"), ("info", "ugly.onnx", "--after=plan"), ("run", "ugly.onnx"),
                    ("run", "ugly.onnx", "--expect", "ugly.npz"), ("run", "ugly.onnx", "-i", "b=c"),
                    ("run", "ugly.onnx", "-i", f"a{bad}=ugly.npz"), ("run", "ugly.onnx", "-i", f"a{bad}=none.pb"),
                    ("run", "ugly.onnx", "--shape", f"a{bad}=3"), ("run", "ugly.onnx", "--shape", f"a{bad}=x"),
                    ("test", "cases/ugly"), ("info", "ugly.onnx", "--after=load"), ("info", "ugly.onnx", "--json")):
        status, out, err = run(*command)
        check(f"names: {command}", status in (DONE, DIFFERS, REFUSED) and "\x1b" not in out + err, repr(out + err))
    subprocess.run(["rm", "-r", "cases/ugly"], check=True)


def limits():
    big = ("run", "big.onnx", "-q", "-i", "shape=shape.npy")
    expect("limit", (*big, "--memory-limit", "64M"), ENDED, "memory limit reached", "67108864")
    start = time.monotonic()
    expect("deadline", ("run", "endless.onnx", "-q", "--deadline", "300ms"), ENDED, "deadline")
    check("deadline in time", time.monotonic() - start < 5, f"{time.monotonic() - start:.1f} s")
    process = subprocess.Popen([TOOL, "run", "endless.onnx", "-q", "-o", "never.npz"], stderr=subprocess.PIPE)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    error = process.communicate(timeout=20)[1].decode()
    check("interrupt", process.returncode == ENDED and "cancelled" in error, f"{process.returncode} {error!r}")
    check("interrupt writes nothing", not os.path.exists("never.npz"))


def suites():
    status, out, _ = run("test", "cases", "--json", "report.json")
    report = {case["name"]: case for case in json.load(open("report.json"))["cases"]}
    check("suite", status == DIFFERS and out.strip().split("\n")[-1] == "1 passed, 2 failed, 1 skipped", f"{status} {out}")
    check("suite report", report["differ"]["status"] == "failed" and "output 0" in report["differ"]["message"] and
          report["nodata"]["status"] == "skipped" and "malformed" in report["broken"]["message"], str(report))
    write("exceptions.txt", b"# said\ndiffer rtol=3\n")
    status, out, _ = run("test", "cases/differ", "cases/pass", "--exceptions", "exceptions.txt")
    check("exceptions", status == DONE, f"{status} {out}")
    status, out, _ = run("test", "cases/differ", "--exceptions", "exceptions.txt", "--strict")
    check("strict", status == DIFFERS, f"{status} {out}")
    write("exceptions.txt", b"differ everything\n")
    expect("bad exceptions", ("test", "cases", "--exceptions", "exceptions.txt"), REFUSED, "exceptions.txt", "line 1")
    expect("no cases", ("test", "folder"), REFUSED, "model.onnx")
    expect("no folder", ("test", "nowhere"), REFUSED, "nowhere")


def reports():
    status, out, _ = run("info", "add.onnx", "--json")
    found = json.loads(out)
    check("info --json", status == DONE and found["inputs"][0]["shape"] == ["n", 3] and found["nodes"] == 1, out)
    status, out, err = run("bench", "add.onnx", "--json", "--runs", "3", "--warmup", "1", "--shape", "a=2x3")
    found = json.loads(out)
    keys = ("load_ms", "first_run_ms", "min_ms", "p50_ms", "p90_ms", "p99_ms", "peak_rss_bytes")
    check("bench --json", status == DONE and all(found[key] >= 0 for key in keys) and found["runs"] == 3, out + err)
    check("info --ops", "Add" in [row["name"] for row in json.loads(run("info", "--ops", "--json")[1])["operators"]])
    check("info --kernels", "kernels" in json.loads(run("info", "--kernels", "--json")[1]))
    for stage in ("load", "pass", "plan"):
        expect(f"info --after={stage}", ("info", "add.onnx", f"--after={stage}"), DONE, "Add")
    expect("plan of a shape", ("info", "add.onnx", "--after=plan", "--shape", "a=5x3"), DONE, "f32[5,3]", "1 steps")


def conversion():
    status, _, err = run("convert", "add.onnx", "-o", "again.onnx", "--optimise")
    check("convert", status == DONE, err)
    expect("converted", ("run", "again.onnx", *AB, "--expect", "good.npz"), DONE, "same y")
    big = model([helper.make_node("Add", ["a", "w"], ["y"])], [info("a", [2, 512])], [info("y", [2, 512])],
                [numpy_helper.from_array(np.arange(1024, dtype=np.float32).reshape(2, 512), "w")])
    write("weights.onnx", big.SerializeToString())
    status, _, err = run("convert", "weights.onnx", "-o", "split.onnx", "--external-data", "split.bin")
    check("external data", status == DONE and os.path.getsize("split.bin") >= 4096 > os.path.getsize("split.onnx"), err)
    run("run", "weights.onnx", "-q", "-o", "whole.npz")
    expect("external data, read again", ("run", "split.onnx", "-q", "--expect", "whole.npz"), DONE)
    checker.check_model("split.onnx", full_check=True)
    loaded = load_model("split.onnx").graph.initializer[0]
    check("external data for onnx", np.array_equal(numpy_helper.to_array(loaded), np.arange(1024).reshape(2, 512)))
    expect("convert into nowhere", ("convert", "add.onnx", "-o", "no/where.onnx"), REFUSED, "where.onnx")


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        prepare()
        for group in (usage, manual, models, data, outputs, names, limits, suites, reports, conversion, checks):
            group()
        os.chdir("/")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
