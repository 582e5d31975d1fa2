"""A mail server for people who die while they speak to it: it keeps each mail that it was given whole."""

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import cast

END = b"\r\n.\r\n"


class _Conversation(socketserver.StreamRequestHandler):
    """As much of SMTP as Django's backend speaks."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        office = cast("PostOffice", self.server)
        try:
            self._say("220 office")
            while line := self.rfile.readline():
                if not self._answered(line.strip().upper(), office):
                    return
        except ConnectionError:
            return  # the other side has died
        finally:
            office.gone()

    def _answered(self, verb: bytes, office: "PostOffice") -> bool:
        """Answer one command; false when the conversation is over."""
        if verb == b"DATA":
            self._say("354 go on")
            text = b""
            while not text.endswith(END):
                line = self.rfile.readline()
                if not line:
                    return False  # half a mail is none
                text += line
            office.mails.append(email.message_from_bytes(text, policy=email.policy.default))
        self._say("221 bye" if verb == b"QUIT" else "250 good")
        return verb != b"QUIT"

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class PostOffice(socketserver.ThreadingTCPServer):
    """Listens on a port of its own; `mails` are those it took responsibility for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self.mails: list[EmailMessage] = []
        self._left = threading.Semaphore(0)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def gone(self) -> None:
        """Say that a conversation is over."""
        self._left.release()

    def wait(self, conversations: int) -> None:
        """Wait until so many conversations more are over, so that what was said is counted."""
        for _ in range(conversations):
            assert self._left.acquire(timeout=60), "a conversation did not end"


@contextmanager
def open_post_office() -> Iterator[PostOffice]:
    """A mail server for as long as the block lasts."""
    with PostOffice() as office:
        thread = threading.Thread(target=office.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield office
        finally:
            office.shutdown()
            thread.join(5)
