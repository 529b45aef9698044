"""Every end has its exit code; a mistake is a line, and only a fault has a traceback."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from mcptrio.app.stopping import OVERSTAYED
from mcptrio.cli import main
from mcptrio.cli.exits import CannotWrite, Exit, NobodyReads, UserError, run_to_exit, say
from mcptrio.cli.output import Output
from mcptrio.cli.printing import print_text, write_all


def raising(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (UserError("wrong"), 2, "mcptrio: wrong\n"),
        (UserError("not there", Exit.UNREACHABLE), 3, "mcptrio: not there\n"),
        (ExceptionGroup("", [ExceptionGroup("", [UserError("deep", Exit.REFUSED)])]), 4, "mcptrio: deep\n"),
        (
            ExceptionGroup("", [CannotWrite(OSError(28, "No space left on device"))]),
            1,
            "mcptrio: cannot write to standard output: No space left on device\n",
        ),
        (NobodyReads(), 0, ""),
        (ExceptionGroup("", [NobodyReads()]), 0, ""),
        (KeyboardInterrupt(), 130, ""),
        (BaseExceptionGroup("", [KeyboardInterrupt()]), 130, ""),
    ],
)
def test_an_expected_end_has_its_exit_code_and_no_traceback(
    error: BaseException, code: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_to_exit(lambda: raising(error)) == code
    assert capsys.readouterr() == ("", told)


def test_a_fault_stays_an_exception() -> None:
    with pytest.raises(ZeroDivisionError):
        run_to_exit(lambda: 1 // 0)


def test_a_fault_beside_a_mistake_stays_an_exception(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.RaisesGroup(ValueError):
        run_to_exit(lambda: raising(ExceptionGroup("", [UserError("x"), ValueError("fault")])))
    assert capsys.readouterr().err == "mcptrio: x\n"


def test_a_command_that_ends_gives_its_own_code() -> None:
    assert run_to_exit(lambda: 5) == 5


def test_the_exit_code_of_what_would_not_stop_is_the_one_it_ends_with() -> None:
    assert Exit.OVERSTAYED == OVERSTAYED


def test_exit_codes_are_distinct() -> None:
    assert len({each.value for each in Exit}) == len(Exit.__members__)


def test_what_is_said_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a \x1b[2J")
    assert capsys.readouterr().err == "a \\x1b[2J\n"


def test_saying_something_to_nobody_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        say("x")
        monkeypatch.undo()
        with pytest.raises(BrokenPipeError):
            stream.close()


def test_with_standard_error_closed_nothing_is_said_anywhere(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["inspect", "gopher://h"]) == Exit.USAGE
    with sys.stderr as taken:
        assert taken.name != 2  # that is somebody else's here
    assert capfd.readouterr() == ("", "")


def test_a_closed_standard_error_is_no_other_file_s_number(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = os.dup(2)
    os.close(2)
    try:
        monkeypatch.setattr(sys, "stderr", None)
        main(["inspect", "gopher://h"])
        assert os.get_inheritable(2)
        assert os.path.samestat(os.fstat(2), os.stat(os.devnull))
        sys.stderr.close()
    finally:
        os.dup2(kept, 2)
        os.close(kept)


async def test_output_is_written_whole_and_in_order() -> None:
    reader, writer = os.pipe()
    output = Output(writer)
    await output.line("first ö")
    await output.write(b"\xff\x00")
    assert os.read(reader, 100) == "first ö\n".encode() + b"\xff\x00"
    assert not output.isatty()
    os.close(writer)
    os.close(reader)


async def test_a_reader_that_has_gone_is_noticed() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with pytest.raises(NobodyReads):
        await Output(writer).line("x")
    os.close(writer)


async def test_output_that_takes_nothing_is_an_error_with_its_reason() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(CannotWrite, match="No space left on device") as caught:
        await Output(full).line("x")
    os.close(full)
    assert caught.value.code == Exit.FAULT


def test_more_than_a_pipe_holds_is_written_whole() -> None:
    reader, writer = os.pipe()
    data = os.urandom(300_000)

    def write() -> None:
        write_all(writer, data)
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    with open(reader, "rb") as stream:
        assert stream.read() == data
    thread.join()


def test_text_is_printed_to_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    print_text("hello\n")
    assert capfd.readouterr().out == "hello\n"
