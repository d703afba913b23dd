"""Samples a running process with py-spy, where it is installed, and names the functions that took most."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path


class Profile:
    """py-spy on one process, from :meth:`start` on; :meth:`report` waits for its end."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.samples = Path(tempfile.mkdtemp(prefix="chatsite-profile-")) / "samples.txt"
        self._running: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float) -> None:
        program = shutil.which("py-spy")
        if program:
            # Not blocking: pausing the process for each sample would show in its latencies.
            options = ["--nonblocking", "--rate", "200", "--duration", str(int(seconds)), "--format", "raw"]
            self._running = subprocess.Popen(
                [program, "record", "--pid", str(self._pid), *options, "--output", str(self.samples)],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

    def report(self, lines: int = 25) -> str:
        if self._running is None:
            return "profile: py-spy is not installed (pip install py-spy)"
        self._running.wait(60)
        if not self.samples.exists():
            return "profile: py-spy wrote nothing (it may need more rights)"
        own: Counter[str] = Counter()
        below: Counter[str] = Counter()
        for line in self.samples.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            frames = stack.split(";")
            own[frames[-1]] += int(count)
            for frame in set(frames):
                below[frame] += int(count)
        total = max(1, sum(own.values()))
        text = [f"profile: {total} samples, stacks in {self.samples}", "  own time:"]
        text += [f"  {count / total:6.1%}  {frame}" for frame, count in own.most_common(lines)]
        text.append("  with everything below:")
        text += [f"  {count / total:6.1%}  {frame}" for frame, count in below.most_common(lines * 2)]
        return "\n".join(text)
