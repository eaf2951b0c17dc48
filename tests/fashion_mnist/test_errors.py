"""Bad input and a bad disk end with one line; a bug keeps its traceback."""

import pytest

from fashion_mnist.errors import InputError, reason, reported


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (InputError("params.yaml: no section"), "split: error: params.yaml: no section"),
        (OSError(28, "No space left on device", "a.npz"), "split: error: a.npz: No space left"),
        (OSError(28, "No space left on device"), "split: error: No space left on device"),
        (OSError("odd"), "split: error: odd"),
    ],
)
def test_input_and_disk_errors_are_one_line(error: Exception, line: str) -> None:
    with pytest.raises(SystemExit) as ended, reported("split"):
        raise error
    # Python prints a text given to SystemExit on standard error and exits with 1.
    assert str(ended.value.code).startswith(line)


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), reported("split"):
        _ = 1 / 0


def test_an_interrupt_ends_with_the_code_of_a_shell() -> None:
    with pytest.raises(SystemExit) as ended, reported("split"):
        raise KeyboardInterrupt
    assert ended.value.code == 130


def test_a_reason_is_one_line_with_the_type_of_foreign_errors() -> None:
    assert reason(ValueError("two\n  lines")) == "ValueError two lines"
    assert reason(TimeoutError()) == "TimeoutError"
    assert reason(InputError("empty")) == "empty"
