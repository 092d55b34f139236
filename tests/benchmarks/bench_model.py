"""Times of the network beside its plain form, in turn in one run: minima of five, and their ratio.

    python tests/benchmarks/bench_model.py [--rounds 5] [--batch 4]

Both hold the same weights and compute the same numbers. `floor` is what the dense convolutions take
alone, with nothing between them. Peak memory is that of a training step, each in a process of its
own. On a GPU the same table, and the share of the matrix units' measured rate.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from plain_model import plain_net
from torch import Tensor, nn

from mmcaf.net.config import ModelConfig
from mmcaf.net.mmcaf_net import MMCAFNet

WINDOW = (12, 192, 192)
GFLOP_FORWARD = 138.0  # per sample at full width, without ASPP; a training step takes three times
FORMS: dict[str, Callable[[ModelConfig], MMCAFNet]] = {"plain": plain_net, "ours": MMCAFNet}
CONFIG = ModelConfig(preset="reference")


class Case:
    """One network with one batch, in one precision."""

    def __init__(self, net: MMCAFNet, batch: int, *, bf16: bool, device: str) -> None:
        generator = torch.Generator().manual_seed(0)
        self.net, self.bf16, self.device = net, bf16, device
        self.volume = torch.rand(batch, 1, *WINDOW, generator=generator).to(device)
        self.table = (torch.rand(batch, 7, generator=generator) * 2 - 1).to(device)

    def logits(self) -> Tensor:
        torch.manual_seed(0)  # the same blocks survive in both forms
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            logits: Tensor = self.net(self.volume, self.table)
        return logits.float()

    def forward(self) -> None:
        self.net.eval()
        with torch.no_grad():
            self.logits()

    def step(self) -> None:
        self.net.train()
        self.net.zero_grad()
        self.logits().square().mean().backward()


def seconds(call: Callable[[], None], device: str) -> float:
    began = time.perf_counter()
    call()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def floors(net: MMCAFNet, case: Case) -> tuple[Callable[[], None], Callable[[], None]]:
    """Forward, and forward with backward, of the dense convolutions alone, at their shapes."""
    found: list[tuple[nn.Conv3d, Tensor]] = []

    def note(module: nn.Conv3d, inputs: tuple[Tensor, ...]) -> None:
        found.append((module, torch.randn_like(inputs[0])))

    dense = [m for m in net.modules() if isinstance(m, nn.Conv3d) and m.groups < m.in_channels]
    handles = [module.register_forward_pre_hook(note) for module in dense]
    case.forward()
    for handle in handles:
        handle.remove()

    def forward() -> None:
        with torch.no_grad(), torch.autocast(case.device, torch.bfloat16, enabled=case.bf16):
            for module, x in found:
                module(x)

    def step() -> None:
        for module, x in found:
            with torch.autocast(case.device, torch.bfloat16, enabled=case.bf16):
                out = module(x.requires_grad_())
            torch.autograd.grad(out, (x, module.weight), torch.ones_like(out))

    return forward, step


def table(rounds: int, batch: int, *, bf16: bool, device: str) -> None:
    torch.manual_seed(0)
    nets = {name: build(CONFIG).to(device) for name, build in FORMS.items()}
    nets["ours"].load_state_dict(nets["plain"].state_dict())
    cases = {name: Case(net, batch, bf16=bf16, device=device) for name, net in nets.items()}
    calls: dict[tuple[str, str], Callable[[], None]] = {}
    for name, case in cases.items():
        calls["forward", name], calls["training step", name] = case.forward, case.step
    calls["forward", "floor"], calls["training step", "floor"] = floors(
        nets["plain"], cases["plain"]
    )
    for call in calls.values():
        call()  # warms caches, and primitives that are built on first use
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(rounds):
        for key, call in calls.items():
            best[key] = min(best[key], seconds(call, device))
    precision = "bf16" if bf16 else "fp32"
    for what in ("forward", "training step"):
        plain, ours, floor = (best[what, name] for name in ("plain", "ours", "floor"))
        print(
            f"{precision} {what:13}  plain {plain:7.3f} s  ours {ours:7.3f} s  "
            f"ratio {ours / plain:.2f}  floor {floor:7.3f} s  ours/floor {ours / floor:.2f}",
            flush=True,
        )
        if device == "cuda":
            work = GFLOP_FORWARD * batch * (1 if what == "forward" else 3)
            rate = matmul_gflops(torch.bfloat16 if bf16 else torch.float32)
            print(f"  {work / rate:.4f} s at the measured matmul rate of {rate / 1000:.0f} TFLOP/s")


def matmul_gflops(dtype: torch.dtype, size: int = 8192) -> float:
    a = torch.randn(size, size, device="cuda", dtype=dtype)
    a @ a
    torch.cuda.synchronize()
    best = min(seconds(lambda: torch.mm(a, a, out=None), "cuda") for _ in range(5))
    return 2 * size**3 / best / 1e9


def peak(form: str, batch: int, *, bf16: bool) -> None:
    """Print the peak memory of two training steps in this process, in GB."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    case = Case(FORMS[form](CONFIG).to(device), batch, bf16=bf16, device=device)
    case.step()
    case.step()
    if device == "cuda":
        print(torch.cuda.max_memory_allocated() / 1e9)
    else:
        status = Path("/proc/self/status").read_text()  # getrusage would count the parent's too
        print(int(status.split("VmHWM:")[1].split()[0]) / 1e6)


def peaks(batch: int, *, bf16: bool) -> None:
    found = []
    for form in FORMS:
        command = [sys.executable, __file__, "--peak", form, "--batch", str(batch)]
        command += ["--bf16"] if bf16 else []
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append(float(done.stdout))
    precision = "bf16" if bf16 else "fp32"
    print(f"{precision} peak memory    plain {found[0]:.2f} GB  ours {found[1]:.2f} GB", flush=True)


def cpu_flags() -> str:
    info = Path("/proc/cpuinfo")
    flags = set(info.read_text().split()) if info.exists() else set[str]()
    return " ".join(sorted(flag for flag in flags if "bf16" in flag)) or "no bf16 flag"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--peak", choices=list(FORMS))
    parser.add_argument("--bf16", action="store_true")
    given = parser.parse_args()
    if given.peak:
        peak(given.peak, given.batch, bf16=given.bf16)
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    where = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {cpu_flags()}"
    print(f"MMCAF-Net, width 1, batch {given.batch}, {torch.get_num_threads()} threads, {where}")
    for bf16 in (False, True):
        table(given.rounds, given.batch, bf16=bf16, device=device)
        peaks(given.batch, bf16=bf16)


if __name__ == "__main__":
    main()
