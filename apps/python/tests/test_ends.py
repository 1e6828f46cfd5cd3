"""Waits that end because of what others do: close, or interrupt them."""

import threading
import time
import unittest

import meshzero as nw0

from .support import PATIENCE, Program, is_waiting, tearDownModule, unique, wait_until


class Closing(unittest.TestCase):
    def iterating(self, news, heard):
        thread = threading.Thread(target=lambda: heard.extend(news))
        thread.start()
        return thread

    def test_closing_ends_every_iteration(self):
        address = nw0.advertise(unique("closing"))
        news, heard = nw0.listen(address), []
        threads = [self.iterating(news, heard) for _ in range(3)]
        nw0.send_news_to(address, "n", 1)
        while not heard:
            time.sleep(0.001)
        news.close()
        for thread in threads:
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive())
        nw0.send_news_to(address, "n", 2)
        self.assertEqual(list(news), [])
        self.assertNotIn(("n", 2), heard)

    def test_the_end_of_a_with_block_does_so(self):
        address = nw0.advertise(unique("closing"))
        with nw0.listen(address) as news:
            thread = self.iterating(news, [])
            wait_until(lambda: is_waiting(thread))
        thread.join(PATIENCE)
        self.assertFalse(thread.is_alive())

    def test_leaving_the_mesh_ends_every_wait(self):
        source = """
            import asyncio, os, threading, time
            from meshzero import aio
            sys.path.insert(0, os.getcwd())
            from tests.support import is_waiting, wait_until

            address = nw0.advertise(sys.argv[1])
            deaf = nw0.advertise("deaf " + sys.argv[1])
            news = nw0.listen(address)
            waits = {
                "message": lambda: nw0.wait_for_message_from(address),
                "news": lambda: nw0.wait_for_news_from(address),
                "news of nobody": lambda: nw0.wait_for_news_from("127.0.0.1:1"),
                "iteration": lambda: list(news),
                "reply": lambda: nw0.send_message_to(deaf),
                "somebody to send to": lambda: nw0.send_message_to("127.0.0.1:1"),
                "name": lambda: nw0.discover("nobody " + sys.argv[1], nw0.FOREVER),
                "found": lambda: nw0.find("nobody " + sys.argv[1], nw0.FOREVER),
                "service": nw0.serve([], "served " + sys.argv[1]).wait,
                "task": lambda: asyncio.run(aio.wait_for_message_from(address)),
                "name in a task": lambda: asyncio.run(aio.discover("nobody " + sys.argv[1], nw0.FOREVER)),
                "all": lambda: nw0.discover_group("nobody"),
            }
            ended = {}

            def run(what, wait):
                try:
                    ended[what] = wait()
                except nw0.NetworkZeroError as error:
                    ended[what] = type(error).__name__

            threads = {what: threading.Thread(target=run, args=(what, wait), daemon=True) for what, wait in waits.items()}
            for thread in threads.values():
                thread.start()
            wait_until(lambda: ended and all(map(is_waiting, [thread for thread in threads.values() if thread.is_alive()])))
            say(sorted(ended))
            nw0.close()
            until = time.monotonic() + 10
            for thread in threads.values():
                thread.join(max(0, until - time.monotonic()))
            say([what for what, thread in threads.items() if thread.is_alive()])
            for what in sorted(ended):
                say(what, ended[what])
            os._exit(0)
        """
        with Program(source, unique("leaving")) as program:
            self.assertEqual(program.line(), "['all']")
            self.assertEqual(program.line(), "[]")
            ended = dict(program.line().rsplit(None, 1) for _ in range(12))
            program.finish()
        expected = dict.fromkeys(ended, "Closed")
        # Those that look end with nothing, and a call says whether its message has been handled.
        expected.update(iteration="[]", all="[]", service="None", reply="Refused")
        expected["somebody to send to"] = "NotSent"
        self.assertEqual(ended, expected)


class Time(unittest.TestCase):
    """A wait counts its time from its call, whoever else waits."""

    def test_who_waits_for_ever_holds_up_nobody(self):
        address = nw0.advertise(unique("shared"))
        news = nw0.listen(address)
        listener = news._listener
        waiting = threading.Thread(target=lambda: list(news))
        waiting.start()
        wait_until(lambda: is_waiting(waiting))
        begun = time.monotonic()
        self.assertIsNone(listener.next(0.0))
        self.assertIsNone(listener.next(0.1))
        self.assertLess(time.monotonic() - begun, 10)
        news.close()
        waiting.join(PATIENCE)

    def test_a_signal_handler_listens_to_what_its_thread_waits_for(self):
        source = """
            import os, signal, threading
            address = nw0.advertise(sys.argv[1])
            news = nw0.listen(address)
            nw0.wait_for_news_from(address, wait_for_s=0)
            polls = {
                "message": lambda: nw0.wait_for_message_from(address, 0),
                "news": lambda: nw0.wait_for_news_from(address, wait_for_s=0),
                "iteration": lambda: news._listener.next(0.0),
                "name": lambda: nw0.discover("nobody", 0),
            }
            waits = {
                "message": lambda: nw0.wait_for_message_from(address, autoreply=True),
                "news": lambda: nw0.wait_for_news_from(address),
                "iteration": lambda: next(news),
            }

            def handle(*_):
                for what, poll in polls.items():
                    say(what, poll())
                wake[0]()

            signal.signal(signal.SIGUSR1, handle)
            wakes = {
                "message": lambda: threading.Thread(target=nw0.send_message_to, args=(address, "hello")).start(),
                "news": lambda: nw0.send_news_to(address, "n", 1),
                "iteration": lambda: nw0.send_news_to(address, "n", 1),
            }
            for what, wait in waits.items():
                wake = [wakes[what]]
                threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1)).start()
                say(what, wait())
                while news._listener.next(0.0) or nw0.wait_for_news_from(address, wait_for_s=0)[0]:
                    pass
        """
        polled = ["message None", "news (None, None)", "iteration None", "name None"]
        with Program(source, unique("handler")) as program:
            for came in ("message hello", "news ('n', 1)", "iteration ('n', 1)"):
                self.assertEqual([program.line() for _ in range(5)], [*polled, came])
            program.finish()


class Listening(unittest.TestCase):
    def test_nothing_is_lost_once_it_listens(self):
        for _ in range(20):
            name = unique("listened")
            address = nw0.advertise(name)
            with nw0.listen(address) as news:
                nw0.send_news_to(address, "n", 1)
                self.assertEqual(next(news), ("n", 1))
            nw0.unadvertise(name)

    def test_nor_of_another_program(self):
        source = """
            address = nw0.advertise(sys.argv[1])
            say(address)
            while sys.stdin.readline().strip():
                nw0.send_news_to(address, "n", 1)
                say("sent")
        """
        with Program(source, unique("publisher")) as program:
            address = program.line()
            for _ in range(10):
                with nw0.listen(address) as news:
                    program.tell("publish")
                    self.assertEqual(program.line(), "sent")
                    self.assertEqual(next(news), ("n", 1))
            program.tell()
            program.finish()

    def test_who_is_not_there_yet_is_listened_to_later(self):
        address = "127.0.0.1:%d" % free_port()
        begun = time.monotonic()
        news = nw0.listen(address)
        self.assertLess(time.monotonic() - begun, 10)
        nw0.advertise(unique("later"), address)
        stop = threading.Event()

        def publish():
            while not stop.wait(0.01):
                nw0.send_news_to(address, "n", 1)

        publishing = threading.Thread(target=publish)
        publishing.start()
        self.assertEqual(next(news), ("n", 1))
        stop.set()
        publishing.join()

    def test_a_prefix_that_can_be_no_topic_is_told_at_once(self):
        with self.assertRaises(nw0.NetworkZeroError):
            nw0.listen(nw0.advertise(unique("prefix")), "x" * 1000)


def free_port():
    import socket

    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]
