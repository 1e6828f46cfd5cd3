"""meshzero beside NetworkZero, in turns, on this machine: `python bench/compare.py [SECONDS]`.

Needs both: `pip install networkzero netifaces-binary`. Each figure is the median of the rounds; the programs are the same
for both libraries, and each end is a process of its own.
"""

import importlib
import os
import pathlib
import statistics
import subprocess
import sys
import time

PEER = pathlib.Path(__file__).with_name("peer.py")
LIBRARIES = ("meshzero", "networkzero")
ROUNDS = 5


class Peer:
    """One of the peer's roles in a process of its own."""

    def __init__(self, library, role, argument):
        command = [sys.executable, str(PEER), library, role, argument]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def line(self):
        return self.process.stdout.readline().strip()


def calls(library, seconds):
    """Calls a second, one after the other."""
    nw0 = importlib.import_module(library)
    with Peer(library, "echo", "bench echo %d" % os.getpid()) as peer:
        address = peer.line()
        nw0.send_message_to(address, "warm up")
        count, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            for _ in range(20):
                nw0.send_message_to(address, "Hello")
            count += 20
        return count / (time.perf_counter() - begun)


def news(library, seconds):
    """Items a second that reach one subscriber."""
    nw0 = importlib.import_module(library)
    with Peer(library, "news", "bench news %d" % os.getpid()) as peer:
        address = peer.line()
        nw0.wait_for_news_from(address, "pose")
        count, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            for _ in range(100):
                nw0.wait_for_news_from(address, "pose")
            count += 100
        return count / (time.perf_counter() - begun)


def hello(library, _):
    """Seconds from the start of a program to its end, with the first reply in between."""
    name = "bench hello %d" % os.getpid()
    with Peer(library, "echo", name) as server:
        server.line()
        begun = time.perf_counter()
        with Peer(library, "hello", name) as client:
            reply = client.line()
        assert reply == "World", reply
        return time.perf_counter() - begun


def bare():
    """Seconds that the interpreter takes by itself."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "print(1)"], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def attempt(library, what, seconds):
    """A figure. NetworkZero picks ports at random and fails where one is in use, so it has several attempts."""
    for _ in range(3):
        try:
            return what(library, seconds)
        except Exception as error:
            print("%s failed, and tries again: %s" % (library, error), file=sys.stderr)
    return what(library, seconds)


def measure(what, seconds):
    figures = {library: [] for library in LIBRARIES}
    for _ in range(ROUNDS):
        for library in LIBRARIES:
            figures[library].append(attempt(library, what, seconds))
    return {library: statistics.median(of) for library, of in figures.items()}


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 2.0
    for role, what in (("calls/s", calls), ("news/s", news)):
        found = measure(what, seconds)
        ours, theirs = (found[library] for library in LIBRARIES)
        print("%-10s meshzero %10.0f  networkzero %10.0f  ratio %5.1f" % (role, ours, theirs, ours / theirs), flush=True)
    found = measure(hello, seconds)
    ours, theirs = (1000 * found[library] for library in LIBRARIES)
    alone = 1000 * statistics.median(bare() for _ in range(ROUNDS))
    print("%-10s meshzero %8.1f ms  networkzero %8.1f ms  (the interpreter alone %.1f ms)" % ("hello", ours, theirs, alone))


main()
