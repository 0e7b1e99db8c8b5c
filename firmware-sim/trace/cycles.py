"""Cycles an instruction of a step of the firmware, the least and the most that the core's manual allows. See README.md."""
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter

REGISTER = re.compile(r"\b(r\d+|s[blp]|fp|ip|lr|pc|[astgf]\d+|s\d+|ra|gp|tp|zero)\b")
WRAPPER = """#!/bin/sh
case "$*" in *version*|*help*) exec {qemu} "$@";; esac
exec {qemu} "$@" -singlestep -d in_asm,exec,nochain -D {trace}
"""


def trace(mote, model, board, steps):
    """How often each pair of addresses followed each other, and the disassembly by address."""
    with tempfile.TemporaryDirectory() as folder:
        fifo = os.path.join(folder, "trace")
        os.mkfifo(fifo)
        for name in ("qemu-system-arm", "qemu-system-riscv32"):
            path = os.path.join(folder, name)
            with open(path, "w") as file:
                file.write(WRAPPER.format(qemu=f"/usr/bin/{name}", trace=fifo))
            os.chmod(path, 0o755)
        edges, asm = Counter(), {}

        def read():
            before = None
            with open(fifo, errors="replace") as lines:
                for line in lines:
                    if line.startswith("Trace"):
                        at = line[line.index("[") + 1 :].split("/")[1]
                        edges[(before, at)] += 1
                        before = at
                    elif line.startswith("0x"):
                        at, _, text = line.partition(":")
                        asm[at[2:]] = text.strip()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        output = os.path.join(folder, "image.png")
        command = [mote, "sample", model, "--steps", str(steps), "--backend", f"board:{board}", "-o", output]
        path = f"{folder}:{os.environ['PATH']}"
        subprocess.run(command, check=True, env={**os.environ, "PATH": path}, stdout=subprocess.DEVNULL)
        reader.join(60)
        return edges, asm


def parse(text):
    """Mnemonic, operands and bytes of a line such as `f102 0204  add.w r2, r2, #4`."""
    words = text.split()
    code = 0
    while code < len(words) and re.fullmatch(r"[0-9a-f]{4}|[0-9a-f]{8}", words[code]):
        code += 1
    size = sum(len(word) for word in words[:code]) // 2
    return (words[code] if code < len(words) else "?"), " ".join(words[code + 1 :]), size


ARM = [
    ("branch", r"b(eq|ne|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|cs|cc)?|cbn?z"),
    ("jump", r"blx?|bx|tb[bh]"),
    ("ldm", r"v?(pop|ldm).*"),
    ("stm", r"v?(push|stm).*"),
    ("ldrd", r"ldrd"),
    ("strd", r"strd"),
    ("load", r"v?ldr.*"),
    ("store", r"v?str.*"),
    ("mull", r"[su]mull"),
    ("mlal", r"[su]m(l|a)al.*|smlsld.*"),
    ("mla", r"ml[as]|smla.*|smml[as].*|smlsd.*"),
    ("mul", r"mul.*|smul.*|smmul.*|smu[as]d.*"),
    ("div", r"[su]div"),
    ("vdiv", r"v(div|sqrt).*"),
    ("vmla", r"vf?m[las].*"),
    ("fpu", r"v.*"),
    ("it", r"it[te]*"),
]
RISCV = [
    ("branch", r"b(eq|ne|lt|ge|gt|le)(u|z)?"),
    ("jump", r"j|jal|jr|jalr|ret|call|tail"),
    ("load", r"l[whb]u?|flw"),
    ("store", r"s[whb]|fsw"),
    ("mul", r"mul"),
    ("mulh", r"mulh.*"),
    ("div", r"(div|rem)u?"),
]
# What a later instruction may have to wait for.
RESULTS = {"load", "ldrd", "mul", "mla", "mull", "mlal", "mulh", "vmla", "fpu"}
# Instructions that read all that they name.
READERS = {"store", "stm", "strd", "branch"}


def kind(mnemonic, operands, table):
    name = mnemonic.replace(".w", "")
    found = next((kind for kind, form in table if re.fullmatch(form, name)), "alu")
    return "return" if found == "ldm" and "pc" in operands else found


def classes(step, asm, table):
    """How often each class ran, by class and number of registers."""
    known = {at: (*parse(text),) for at, text in asm.items()}
    kinds = {at: kind(mnemonic, operands, table) for at, (mnemonic, operands, _) in known.items()}
    out = Counter()
    for (at, then), times in step.items():
        if at not in known or times <= 0:
            continue
        name, (_, operands, size) = kinds[at], known[at]
        next_name, (mnemonic, reads, _) = kinds.get(then, "alu"), known.get(then, ("", "", 2))
        listed = re.search(r"\{(.*)\}", operands)
        registers = len(listed.group(1).split(",")) if listed and name in ("ldm", "stm", "return") else 1
        if name == "branch":
            name = "taken" if int(then, 16) != int(at, 16) + size else "untaken"
        elif name in RESULTS:
            written = REGISTER.findall(operands)[: 2 if name in ("ldrd", "mull", "mlal") else 1]
            read = REGISTER.findall(reads)
            if next_name not in READERS and mnemonic[:3] not in ("cmp", "tst", "cmn"):
                read = read[1:] + (read[:1] if next_name in ("mla", "mlal", "vmla") or len(read) == 2 and mnemonic[:1] in "as" and table is ARM else [])
            if set(written) & set(read):
                name += " used"
            elif name == "load" and next_name in ("load", "store"):
                name = "load beside another"
        out[(name, registers)] += times
    return out


def cortex_m0(name, n):
    """Cortex-M0 TRM r0p0, table 3-1, with the single-cycle multiplier."""
    two = dict.fromkeys(("load", "load used", "load beside another", "store"), (2, 2))
    more = {"ldm": (1 + n, 1 + n), "stm": (1 + n, 1 + n), "return": (4 + n, 4 + n), "taken": (3, 3), "jump": (3, 4)}
    return {**two, **more}.get(name, (1, 1))


def cortex_m0plus(name, n):
    """Cortex-M0+ TRM r0p1, table 3-1."""
    return {"taken": (2, 2), "jump": (2, 3), "return": (3 + n, 3 + n)}.get(name) or cortex_m0(name, n)


def cortex_m3(name, n):
    """Cortex-M3 TRM, table 3-1. The refill after a branch takes 1 to 3; a load may overlap its neighbour."""
    lists = {"ldm": (1 + n, 1 + n), "stm": (1 + n, 1 + n), "return": (2 + n, 4 + n)}
    loads = {"load": (1, 2), "load used": (2, 2), "load beside another": (1, 2), "store": (1, 2)}
    pairs = dict.fromkeys(("ldrd", "ldrd used", "strd"), (3, 3))
    products = {"mla": (2, 2), "mla used": (2, 2), "mull": (3, 5), "mull used": (3, 5), "mlal": (4, 7), "mlal used": (4, 7)}
    others = {"div": (2, 12), "taken": (2, 4), "jump": (2, 4), "it": (0, 1)}
    return {**lists, **loads, **pairs, **products, **others}.get(name, (1, 1))


def cortex_m4(name, n):
    """Cortex-M4 TRM, tables 3-1 and 7-1."""
    once = dict.fromkeys(("mla", "mull", "mlal", "mul", "fpu"), (1, 1))
    used = {f"{name} used": (1, 2) for name in once}
    floats = {"vmla": (3, 3), "vmla used": (3, 4), "vdiv": (14, 14)}
    return {**once, **used, **floats}.get(name) or cortex_m3(name, n)


def cortex_m33(name, n):
    """No table of Arm's. Public measurements of the RP2350: 2 cycles from a load or a product to its use, LDM n, a taken branch 2 to 3."""
    lists = {"ldm": (n, 1 + n), "stm": (n, 1 + n), "return": (2 + n, 4 + n)}
    loads = {"load used": (2, 3), "ldrd": (2, 2), "ldrd used": (2, 3), "strd": (2, 2)}
    used = dict.fromkeys(("mul used", "mla used", "mull used", "mlal used", "fpu used"), (1, 2))
    others = {"div": (2, 11), "taken": (2, 3), "jump": (2, 3), "it": (0, 1), "vmla": (1, 3), "vmla used": (3, 4), "vdiv": (14, 16)}
    return {**lists, **loads, **used, **others}.get(name, (1, 1))


def cortex_m7(name, n):
    """No table of Arm's. Two at a time at best, as a Cortex-M33 at worst."""
    others = {"taken": (0.5, 2), "jump": (1, 3), "return": (1 + n / 2, 4 + n), "ldm": (n / 2, 1 + n), "stm": (n / 2, 1 + n)}
    others |= {"vdiv": (14, 16), "div": (2, 12)}
    return others.get(name, (0.5, max(1, cortex_m33(name, n)[1])))


def rv32(name, _):
    """Single issue, in order, three or four stages."""
    products = {"mul used": (1, 3), "mulh": (1, 4), "mulh used": (1, 4), "div": (6, 38)}
    return {**products, "load used": (2, 3), "taken": (1, 3), "jump": (2, 3)}.get(name, (1, 1))


MODELS = {
    "mps2-m0": (ARM, [cortex_m0, cortex_m0plus]),
    "mps2-an385": (ARM, [cortex_m3]),
    "mps2-an386": (ARM, [cortex_m4, cortex_m7]),
    "mps2-an505": (ARM, [cortex_m33]),
    "virt": (RISCV, [rv32]),
}


def main(mote, model, board):
    table, models = MODELS[board]
    (one, _), (two, asm) = (trace(mote, model, board, steps) for steps in (1, 2))
    two.subtract(one)
    found = classes(two, asm, table)
    total = sum(found.values())
    print(f"{total} instructions a step")
    shares = Counter()
    for (name, _), times in found.items():
        shares[name] += times
    print(", ".join(f"{name} {100 * times / total:.1f} %" for name, times in shares.most_common() if times > total / 1000))
    for core in models:
        least, most = (sum(times * core(*key)[i] for key, times in found.items()) / total for i in (0, 1))
        print(f"{core.__name__}: {least:.3f} to {most:.3f} cycles an instruction")


if __name__ == "__main__":
    main(*sys.argv[1:])
