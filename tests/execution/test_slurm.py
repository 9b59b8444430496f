"""The scripts for Slurm, on a Slurm: a private one on loopback, two nodes on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from poisonbench.output.index import read_index

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS = REPOSITORY / "configs" / "cluster"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
SHARDS = 4

CONFIG: dict[str, Any] = {
    "dataset": "diabetes",
    "model": {"name": "ridge", "alpha": 0.1},
    "attack": {"name": "optp", "iterations": 20, "tol": 0.0},
    "poisoning_rate": [0.1, 0.2],
    "split": {"train": 60, "validation": 30, "test": 30},
    "defense": ["none", {"name": "trim", "restarts": 2}, "huber"],
    "seeds": 6,
}

# As few parts as a machine without service manager, control groups and accounting needs.  What is
# requeued begins again after cred_expire, two minutes if not given.
SETTINGS = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=15
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=sched_interval=2
MinJobAge=300
KillWait=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2 RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2 RealMemory=4000
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


def until(true: Callable[[], Any], what: str, seconds: float = 120) -> Any:
    """Wait for something, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s for {what}"
        time.sleep(0.1)
    return found


def install() -> None:
    """Install Debian's Slurm where that is possible; skip the test where it is not."""
    os.environ["PATH"] += os.pathsep + "/usr/sbin"
    if not SCRIPTS.is_dir():
        pytest.skip(f"no folder {SCRIPTS}: not a checkout")
    if all(shutil.which(program) for program in PROGRAMS):
        return
    if not shutil.which("apt-get") or os.geteuid() != 0:
        pytest.skip("no Slurm here, and no apt or no right to install it")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
        try:
            subprocess.run(
                ["apt-get", "--quiet", *arguments], env=environment, check=True, timeout=240,
                capture_output=True, text=True,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            pytest.skip("no Slurm here: apt-get took more than 240 s")
        except subprocess.CalledProcessError as error:
            if arguments == ["update"]:  # a list that is older may do
                continue
            pytest.skip(f"no Slurm here: {error.stderr.strip()[-300:]}")


def free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(closing(socket.socket())) for _ in range(n)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@dataclass(frozen=True)
class Slurm:
    folder: Path
    environment: dict[str, str]

    def __call__(self, *command: str | Path) -> str:
        """Run a command of Slurm and return what it says."""
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout.strip()

    def state(self, job: str) -> str:
        """Return a job's state, such as COMPLETED."""
        facts = self("scontrol", "show", "job", job)
        return facts.split("JobState=")[1].split()[0]

    def ended(self, job: str) -> None:
        """Wait until no task of a job is left."""
        until(lambda: not self("squeue", "--noheader", "--jobs", job), f"the end of job {job}")

    def pids(self, task: str) -> list[int]:
        """Return the processes of a sweep's shard that run now."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if "sweep" in words and task in words and str(self.folder / "out") in words:
                    found.append(int(path.name))
        return found


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slurm]:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    install()
    # munge takes no key below a folder that others may write to, and no long name of a socket.
    folder = Path(f"/run/poisonbench-{os.getpid()}" if os.geteuid() == 0 else tmp_path / "slurm")
    (folder / "state").mkdir(parents=True, mode=0o755)
    tools = tmp_path / "tools"
    tools.mkdir()
    program = tools / "poisonbench"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m poisonbench "$@"\n')
    program.chmod(0o755)
    settings = folder / "slurm.conf"
    user = subprocess.check_output(["id", "-un"], text=True).strip()
    settings.write_text(
        SETTINGS.format(
            host=socket.gethostname(), user=user, folder=folder, ports=free_ports(3)
        )
    )  # fmt: skip
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    environment = {
        **{name: value for name, value in os.environ.items() if "SLURM" not in name},
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(REPOSITORY),
        "OMP_NUM_THREADS": "1",
        "SLURM_CONF": str(settings),
    }
    running = Slurm(tmp_path, environment)
    daemons = [
        ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket",
         f"--key-file={key}", f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/munge.seed",
         f"--log-file={folder}/munged.log"],
        ["slurmctld", "-D", "-f", str(settings)],
        ["slurmd", "-D", "-N", "n1", "-f", str(settings)],
        ["slurmd", "-D", "-N", "n2", "-f", str(settings)],
    ]  # fmt: skip
    processes: list[subprocess.Popen[bytes]] = []
    log = (folder / "daemons.log").open("wb")
    try:
        for daemon in daemons:
            processes.append(subprocess.Popen(daemon, env=environment, stdout=log, stderr=log))
            if daemon[0] == "munged":
                until((folder / "munge.socket").exists, "munge", 30)

        def both_idle() -> bool:
            assert all(process.poll() is None for process in processes), (
                folder / "daemons.log"
            ).read_text()[-3000:]
            done = subprocess.run(
                ["sinfo", "--noheader", "--format=%T %D"], env=environment, capture_output=True,
                text=True, check=False,
            )  # fmt: skip
            return done.stdout.split() == ["idle", "2"]

        until(both_idle, "two idle nodes", 60)
        yield running
    finally:
        # Jobs, nodes, controller, keys: each needs the next to end in peace.
        if len(processes) == len(daemons):
            with suppress(AssertionError, subprocess.TimeoutExpired):
                running("scancel", "--user", user)
                until(lambda: not running("squeue", "--noheader"), "an empty queue", 30)
        for process in reversed(processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def test_an_array_that_loses_tasks_is_submitted_again(slurm: Slurm) -> None:
    """One task is killed, one is requeued; the same line again, and the bytes are those of one."""
    config, out = slurm.folder / "x.yaml", slurm.folder / "out"
    config.write_text(yaml.safe_dump(CONFIG))
    logs = slurm.folder / "logs"
    logs.mkdir()
    array = ["sbatch", "--parsable", f"--array=0-{SHARDS - 1}", "--mem=500M",
             f"--output={logs}/%A_%a.log", SCRIPTS / "array.sbatch", config, out,
             str(SHARDS)]  # fmt: skip
    merge = ["sbatch", "--parsable", "--mem=500M", f"--output={logs}/merge-%j.log"]

    def submit() -> tuple[str, str]:
        first = slurm(*array)
        then = slurm(*merge, f"--dependency=afterany:{first}", SCRIPTS / "merge.sbatch", out)
        return first, then

    first, then = submit()
    # Only what is in the middle of its work: the killed task has cells and is not done.
    (pid,) = until(lambda: slurm.pids(f"1/{SHARDS}"), "task 1")[:1]
    os.kill(pid, signal.SIGKILL)
    until(lambda: slurm.pids(f"2/{SHARDS}"), "task 2")
    slurm("scontrol", "requeue", f"{first}_2")
    slurm.ended(first)
    slurm.ended(then)
    assert slurm.state(f"{first}_1") == "FAILED"
    assert "Restarts=1" in slurm("scontrol", "show", "job", f"{first}_2")
    for task in (0, 2, 3):
        assert slurm.state(f"{first}_{task}") == "COMPLETED", (
            logs / f"{first}_{task}.log"
        ).read_text()
    refusal = (logs / f"merge-{then}.log").read_text()
    assert "ExitCode=3:0" in slurm("scontrol", "show", "job", then), refusal
    assert "cells are missing" in refusal
    assert not (out / "results.csv").exists()
    kept = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/*.json")}
    assert len(kept) < len(list(read_index(out).cells()))

    second, then = submit()
    slurm.ended(second)
    slurm.ended(then)
    assert slurm.state(then) == "COMPLETED", (logs / f"merge-{then}.log").read_text()
    assert {path: path.stat().st_mtime_ns for path in kept} == kept

    subprocess.run(
        ["poisonbench", "sweep", config, "--jobs", "1", "--quiet", "--output", "serial"],
        cwd=slurm.folder, env=slurm.environment, check=True,
    )  # fmt: skip
    for name in ("results.csv", "table.csv"):
        assert (out / name).read_bytes() == (slurm.folder / "serial" / name).read_bytes()
