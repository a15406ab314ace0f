"""How many threads the numbers may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import chainrule as cr
from chainrule import threads
from chainrule.errors import ConfigError


@pytest.fixture(autouse=True)
def keep_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_threads", threads._threads)


def test_quota_of_version_2(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert threads._cgroup_quota(tmp_path, tmp_path / "membership") == 1.5


def test_no_quota_of_version_2(tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert threads._cgroup_quota(tmp_path, tmp_path / "membership") is None


@pytest.mark.parametrize(("quota", "expected"), [("400000", 4.0), ("-1", None)])
def test_quota_of_version_1(tmp_path: Path, quota: str, expected: float | None) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert threads._cgroup_quota(tmp_path, tmp_path / "membership") == expected


def test_the_least_quota_of_the_groups_around_counts(tmp_path: Path) -> None:
    own = tmp_path / "system.slice" / "job.scope"
    own.mkdir(parents=True)
    (own / "cpu.max").write_text("400000 100000\n")
    (own.parent / "cpu.max").write_text("300000 100000\n")
    (tmp_path / "membership").write_text("0::/system.slice/job.scope\n")
    assert threads._cgroup_quota(tmp_path, tmp_path / "membership") == 3.0


def test_own_group_of_version_1(tmp_path: Path) -> None:
    own = tmp_path / "cpu" / "docker" / "abc"
    own.mkdir(parents=True)
    (own / "cpu.cfs_quota_us").write_text("200000")
    (own / "cpu.cfs_period_us").write_text("100000")
    (tmp_path / "membership").write_text("5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n")
    assert threads._cgroup_quota(tmp_path, tmp_path / "membership") == 2.0


def test_no_control_group(tmp_path: Path) -> None:
    assert threads._cgroup_quota(tmp_path, tmp_path / "membership") is None


@pytest.mark.parametrize(
    ("affinity", "quota", "expected"),
    [(8, None, 8), (8, 2.0, 2), (8, 1.5, 2), (8, 0.1, 1), (2, 16.0, 2)],
)
def test_the_smaller_allowance_counts(
    monkeypatch: pytest.MonkeyPatch, affinity: int, quota: float | None, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(affinity)), raising=False)
    monkeypatch.setattr(threads, "_cgroup_quota", lambda: quota)
    assert threads.available_cpus() == expected


def test_without_affinity_the_host_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    monkeypatch.setattr(threads, "_cgroup_quota", lambda: None)
    assert threads.available_cpus() == 3


def test_default_is_what_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_threads", None)
    monkeypatch.setattr(threads, "available_cpus", lambda: 5)
    assert cr.get_num_threads() == 5


def test_setting_reaches_the_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    threadpoolctl = pytest.importorskip("threadpoolctl")
    before = {i["filepath"]: i["num_threads"] for i in threadpoolctl.threadpool_info()}
    try:
        cr.set_num_threads(1)
        assert cr.get_num_threads() == 1
        assert {i["num_threads"] for i in threadpoolctl.threadpool_info()} <= {1}
    finally:
        threadpoolctl.threadpool_limits(max(before.values(), default=1))


@pytest.mark.parametrize("n", [0, -1, 1.5, "2"])
def test_number_of_threads_must_be_positive(n: object) -> None:
    with pytest.raises(ConfigError, match="whole number of at least 1"):
        cr.set_num_threads(n)  # type: ignore[arg-type]
