"""What can go wrong, told in three parts: what was wrong, what was expected, what to do."""


class Refused(Exception):
    """A file (or a setting) that cannot be published. Nothing of it stays behind.

    - `message`: what was wrong and what was expected; lower-case, no full stop.
    - `hint`: what to do about it, or empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Later(Refused):
    """Not the file's fault: the same file may be published once something around it is put right."""


class NoSpace(Later):
    """The disk is full, or would be before the video is done."""


class Busy(Later):
    """Another process is publishing the same video. Its work folder is left alone."""


def printable(text: str) -> str:
    """`text` on one line and without control characters: a file's name is its sender's words, and goes to terminals and logs."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


class Interrupted(BaseException):
    """SIGINT or SIGTERM. What is finished stays in the work folder, and the next run goes on from there.

    A `BaseException`, so that no handler for ordinary errors mistakes it for one.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number
