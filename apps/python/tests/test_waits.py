"""Each time that a program can pass to a verb: as short or as long as can be, or refused with the name of its argument."""

import asyncio
import decimal
import fractions
import inspect
import threading
import time
import unittest

import meshzero as nw0
from meshzero import aio

from .support import PATIENCE, unique, tearDownModule

SHORT = [0, 0.0, -1, -0.5, -(10**400), float("-inf"), decimal.Decimal("-1"), fractions.Fraction(-1, 3)]

#: Longer than any test.
LONG = [None, nw0.FOREVER, float("inf"), 1e300, 2**63, 10**400, decimal.Decimal("1e30"), fractions.Fraction(10**400)]

NO_NUMBERS = [True, False, "5", "", b"5", [], {}, object(), 1j]

NO_TIMES = [float("nan"), decimal.Decimal("NaN"), decimal.Decimal("sNaN")]

#: The arguments that are times, of all that is public.
TIMES = {"wait_for_s", "wait_for_reply_s", "timeout"}


class Greeter:
    def greet(self):
        return "hello"

    def __call__(self, message):
        return "hello"


def awaited(verb):
    """A verb of asyncio as a plain one."""

    def call(*arguments, **named):
        async def main():
            return await verb(*arguments, **named)

        return asyncio.run(main())

    return call


async def first(news):
    async for one in news:
        return one
    return None


def heard(address, wait):
    async def main():
        return await first(aio.listen(address, wait_for_s=wait))

    return asyncio.run(main())


def greeted(remote):
    async def main():
        return await (await remote).greet()

    return asyncio.run(main())


class Waits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = nw0.serve(Greeter(), unique("greeter"))
        cls.name, cls.address = cls.service.name, cls.service.address

    def setUp(self):
        # What an earlier test has left at an address would come again.
        self.other = nw0.advertise(unique("other"))

    @classmethod
    def tearDownClass(cls):
        cls.service.close()

    def verbs(self):
        """By what they are called, and by the name of the argument: what is done with a time."""
        name, address, other, remote = self.name, self.address, self.other, nw0.find(self.name)
        coroutine = aio.Remote(address)
        return {
            ("discover", "wait_for_s"): lambda wait: nw0.discover(name, wait),
            ("discover_all", "wait_for_s"): nw0.discover_all,
            ("find", "wait_for_s"): lambda wait: nw0.find(name, wait).greet(),
            ("find", "wait_for_reply_s"): lambda wait: nw0.find(name, wait_for_reply_s=wait).greet(),
            ("Remote.waiting", "wait_for_reply_s"): lambda wait: remote.waiting(wait).greet(),
            ("send_message_to", "wait_for_reply_s"): lambda wait: nw0.send_message_to(address, "x", wait),
            ("wait_for_message_from", "wait_for_s"): lambda wait: nw0.wait_for_message_from(other, wait, True),
            ("wait_for_news_from", "wait_for_s"): lambda wait: nw0.wait_for_news_from(other, wait_for_s=wait),
            ("listen", "wait_for_s"): lambda wait: next(nw0.listen(other, wait_for_s=wait), None),
            ("Service.wait", "timeout"): self.service.wait,
            ("aio.discover", "wait_for_s"): lambda wait: awaited(aio.discover)(name, wait),
            ("aio.discover_all", "wait_for_s"): awaited(aio.discover_all),
            ("aio.find", "wait_for_s"): lambda wait: greeted(aio.find(name, wait)),
            ("aio.find", "wait_for_reply_s"): lambda wait: greeted(aio.find(name, wait_for_reply_s=wait)),
            ("aio.Remote.waiting", "wait_for_reply_s"): lambda wait: awaited(coroutine.waiting(wait).greet)(),
            ("aio.send_message_to", "wait_for_reply_s"): lambda wait: awaited(aio.send_message_to)(address, "x", wait),
            ("aio.wait_for_message_from", "wait_for_s"): lambda wait: awaited(aio.wait_for_message_from)(other, wait, True),
            ("aio.wait_for_news_from", "wait_for_s"): lambda wait: awaited(aio.wait_for_news_from)(other, "", wait),
            ("aio.listen", "wait_for_s"): lambda wait: heard(other, wait),
        }

    def test_no_time_of_any_verb_is_left_out(self):
        public = {name: getattr(nw0, name) for name in nw0.__all__ if inspect.isfunction(getattr(nw0, name))}
        public.update(("aio." + name, getattr(aio, name)) for name in aio.__all__)
        public["Remote.waiting"] = type(nw0.find(self.name)).waiting
        public["Service.wait"] = type(self.service).wait
        public["aio.Remote.waiting"] = aio.Remote.waiting
        times = {(verb, name) for verb, what in public.items() for name in inspect.signature(what).parameters if name in TIMES}
        self.assertEqual(times, set(self.verbs()))
        named = {name for what in public.values() for name in inspect.signature(what).parameters}
        self.assertEqual({name for name in named if "wait" in name or "time" in name}, TIMES)

    def test_what_is_no_time_is_refused_at_once_with_the_name_of_its_argument(self):
        for (verb, argument), call in self.verbs().items():
            for waits, error in ((NO_NUMBERS, TypeError), (NO_TIMES, ValueError)):
                for wait in waits:
                    with self.subTest(verb=verb, wait=wait), self.assertRaisesRegex(error, argument + " is to be"):
                        call(wait)

    def test_what_is_refused_takes_nothing(self):
        sent = []
        sender = threading.Thread(target=lambda: sent.append(nw0.send_message_to(self.other, "hello", PATIENCE)))
        sender.start()
        self.assertEqual(nw0.wait_for_message_from(self.other, PATIENCE), "hello")
        with self.assertRaises(TypeError):
            nw0.wait_for_message_from(self.other, "soon")
        nw0.send_reply_to(self.other, "and to you")
        sender.join(PATIENCE)
        self.assertEqual(sent, ["and to you"])

    def test_the_shortest_times_take_what_is_there(self):
        nothing = (None, (None, None), [], "hello")
        for (verb, argument), call in self.verbs().items():
            for wait in SHORT:
                with self.subTest(verb=verb, argument=argument, wait=wait):
                    begun = time.monotonic()
                    try:
                        found = call(wait)
                    except (nw0.SocketTimedOutError, nw0.NotSent):
                        found = None
                    self.assertLess(time.monotonic() - begun, 10)
                    if not verb.endswith(("discover", "discover_all")):
                        self.assertIn(found, nothing)

    def test_the_longest_times_end_with_what_comes(self):
        stop = threading.Event()

        def talk():
            # News for who listens, and messages for who waits for them.
            while not stop.wait(0.002):
                nw0.send_news_to(self.other, "n", 1)
                try:
                    nw0.send_message_to(self.other, "hello", 0.05)
                except nw0.CallError:
                    pass

        talking = threading.Thread(target=talk)
        talking.start()
        found = {
            "discover": self.address,
            "wait_for_message_from": "hello",
            "wait_for_news_from": ("n", 1),
            "listen": ("n", 1),
            "find": "hello",
            "waiting": "hello",
            "send_message_to": "hello",
        }
        try:
            for (verb, argument), call in self.verbs().items():
                last = verb.rpartition(".")[2]
                for wait in LONG if last != "wait" else ():
                    with self.subTest(verb=verb, argument=argument, wait=wait):
                        came = call(wait)
                        self.assertEqual(came, found.get(last, came))
        finally:
            stop.set()
            talking.join(PATIENCE)

    def test_a_service_is_waited_for_as_long_as_can_be(self):
        for wait in LONG:
            service = nw0.serve(Greeter(), unique("brief"))
            waiting = threading.Thread(target=service.wait, args=(wait,))
            waiting.start()
            service.close()
            waiting.join(PATIENCE)
            self.assertFalse(waiting.is_alive(), wait)
