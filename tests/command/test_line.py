"""The runner of commands: exit status, streams, signals, limits and disks are the command's own."""

import signal

import pytest

from command.line import CommandLine, can_mount


def test_status_and_streams_are_the_commands(command_line: CommandLine):
    helped = command_line.run("verify", "--help")
    assert (helped.status, helped.stderr) == (0, "") and helped.stdout.lstrip().startswith("Usage: foldseg verify")
    wrong = command_line.run("verify")
    assert wrong.status == 2 and "Usage: foldseg verify" in wrong.stderr


def test_a_killed_command_says_by_what(command_line: CommandLine):
    started = command_line.start("train", "configs/experiments/toy_crop.yaml", "0")
    started.kill()
    assert started.wait().status == -signal.SIGKILL


def test_a_limit_is_the_commands_alone(command_line: CommandLine):
    assert command_line.run("verify", "--help", limits={"RLIMIT_FSIZE": 0}).stdout == ""  # no file may grow
    assert command_line.run("verify", "--help").stdout != ""


@pytest.mark.skipif(not can_mount(), reason="mounting wants root")
def test_a_disk_is_the_commands_alone(command_line: CommandLine, tmp_path):
    (tmp_path / "x.json").write_text("{}")
    done = command_line.run("score", tmp_path / "x.json", tmp_path / "x.json", disks={tmp_path: 4096})
    assert done.status == 1 and "x.json" in done.stderr
    assert (tmp_path / "x.json").is_file()
