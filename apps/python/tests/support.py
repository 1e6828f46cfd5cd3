"""Programs as real processes, and names that no other test has."""

import itertools
import os
import queue
import signal
import subprocess
import sys
import textwrap
import threading
import time

import meshzero

#: Long enough for any machine. Nothing takes so long unless it hangs.
PATIENCE = 60

_numbers = itertools.count()
_names = []


def unique(name):
    """A name that nobody else has."""
    _names.append("%s-%d-%d" % (name, os.getpid(), next(_numbers)))
    return _names[-1]


def tearDownModule():
    """Takes back what the tests of a module have advertised: a program offers so many services at most."""
    while _names:
        meshzero.unadvertise(_names.pop())


class Program:
    """A Python program in a process of its own, given as its source; `nw0` is imported already.

    A context manager that ends it. What it writes to standard error is shown if it fails.
    """

    PROLOGUE = "import sys\nimport meshzero as nw0\n\ndef say(*words):\n    print(*words, flush=True)\n\n"

    def __init__(self, source, *arguments, prologue=PROLOGUE):
        code = prologue + textwrap.dedent(source)
        command = [sys.executable, "-X", "dev", "-W", "error", "-c", code, *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._lines = queue.Queue()
        self._errors = []
        self._error_lines = queue.Queue()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self._lines.put), daemon=True),
            threading.Thread(target=self._read, args=(self.process.stderr, self._note_error), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @staticmethod
    def _read(stream, put):
        for line in stream:
            put(line.rstrip("\n"))
        put(None)

    def _note_error(self, line):
        self._errors.append(line)
        self._error_lines.put(line)

    def error_line(self):
        """The next line that it writes to standard error."""
        return self._error_lines.get(timeout=PATIENCE)

    def line(self):
        """The next line that it says."""
        line = self._lines.get(timeout=PATIENCE)
        if line is None:
            raise AssertionError("the program ended: " + self.errors())
        return line

    def tell(self, line=""):
        """A line for it to read."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def interrupt(self):
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    def end(self):
        """Waits for its end; the exit code."""
        code = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        return code

    def errors(self):
        """What it has written to standard error, once it has ended."""
        self._readers[1].join(PATIENCE)
        return "\n".join(line for line in self._errors if line is not None)

    def finish(self):
        """Waits for its end, which must be a good one."""
        code = self.end()
        if code != 0:
            raise AssertionError("exit code %d: %s" % (code, self.errors()))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.end()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


def wait_until(is_so):
    """Waits for a condition that nothing tells of."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError("it does not happen")
        time.sleep(0.001)


#: Python's functions in which a thread of a test is while it waits: those that call the native half, and those of Python.
WAITING = {"_interruptible", "look", "run_forever", "select", "wait", "join", "_wait_for_tstate_lock"}


def is_waiting(thread):
    """Whether a thread has come to where it waits: it is in such a function, and stays at one place of it."""
    places = set()
    for _ in range(20):
        frame = sys._current_frames().get(thread.ident)
        if frame is None or frame.f_code.co_name not in WAITING:
            return False
        places.add((id(frame), frame.f_lasti))
        time.sleep(0.001)
    return len(places) == 1


def answering(address, answer, count=1):
    """A thread that answers so many messages at an address."""

    def run():
        for _ in range(count):
            message = meshzero.wait_for_message_from(address, PATIENCE)
            meshzero.send_reply_to(address, answer(message))

    thread = threading.Thread(target=run)
    thread.start()
    return thread
