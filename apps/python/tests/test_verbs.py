"""Each verb, as NetworkZero documents it."""

import asyncio
import logging
import threading
import time
import unittest
from unittest import mock

import meshzero as nw0
from meshzero import aio

from .support import PATIENCE, Program, answering, unique, tearDownModule


class Names(unittest.TestCase):
    def test_an_address_is_text_with_a_port(self):
        address = nw0.advertise(unique("plain"))
        self.assertRegex(address, r"^\d+\.\d+\.\d+\.\d+:\d+$")

    def test_a_name_is_advertised_at_an_address_a_port_or_a_wildcard(self):
        port = int(nw0.address().rpartition(":")[2])
        self.assertTrue(nw0.advertise(unique("port"), port).endswith(":%d" % port))
        self.assertRegex(nw0.advertise(unique("wildcard"), "127.0.*"), r"^127\.0\.0\.1:\d+$")
        name, address = unique("address"), nw0.address()
        self.assertEqual(nw0.advertise(name, address), address)
        self.assertEqual(nw0.discover(name, PATIENCE), address)

    def test_a_name_is_discovered_or_it_is_none(self):
        name = unique("found")
        self.assertIsNone(nw0.discover(name, 0))
        address = nw0.advertise(name)
        self.assertEqual(nw0.discover(name), address)

    def test_a_name_that_must_not_exist(self):
        name = unique("only")
        address = nw0.advertise(name, fail_if_exists=True)
        self.assertIsNotNone(address)
        self.assertIsNone(nw0.advertise(name, fail_if_exists=True))
        self.assertEqual(nw0.advertise(name, ttl_s=5), address)

    def test_a_name_that_nobody_could_find_is_refused(self):
        taken = nw0.advertise(unique("taken"))
        port = taken.rpartition(":")[2]
        for name in ("127.0.0.1:9000", taken, "localhost:9001", "localhost:" + port, "http://x", "127.0.0.1:70000", "", "x" * 129):
            for fail_if_exists in (False, True):
                with self.subTest(name, fail_if_exists=fail_if_exists):
                    with self.assertRaises(nw0.InvalidName):
                        nw0.advertise(name, fail_if_exists=fail_if_exists)

                    async def advertise():
                        await aio.advertise(name, None, fail_if_exists)

                    with self.assertRaises(ValueError):
                        asyncio.run(advertise())
            with self.assertRaises(nw0.InvalidName):
                nw0.serve(object(), name or "\n")

    def test_what_can_be_no_name_and_no_address_is_not_looked_for(self):
        for name, error in (
            ("", nw0.InvalidName),
            ("x" * 129, nw0.InvalidName),
            ("http://x", nw0.InvalidAddressError),
            ("127.0.0.1:70000", nw0.InvalidAddressError),
            ("localhost:0", nw0.InvalidAddressError),
            ("[fe80::1%nosuch0]:9", nw0.InvalidAddressError),
        ):
            for find in (nw0.discover, nw0.find, lambda *a: asyncio.run(aio.discover(*a)), lambda *a: asyncio.run(aio.find(*a))):
                with self.subTest(name), self.assertRaises(error):
                    find(name, PATIENCE)

    def test_an_address_is_discovered_while_somebody_answers_there(self):
        name = unique("answers")
        address = nw0.advertise(name)
        port = address.rpartition(":")[2]
        for at in (address, "localhost:" + port):
            self.assertEqual(nw0.discover(at, PATIENCE).rpartition(":")[2], port)
            self.assertEqual(asyncio.run(aio.discover(at, PATIENCE)).rpartition(":")[2], port)
        nw0.unadvertise(name)
        for at in (address, "localhost:" + port):
            self.assertIsNone(nw0.discover(at, 0.2))
            self.assertIsNone(asyncio.run(aio.discover(at, 0.2)))
            for find in (nw0.find, lambda *a: asyncio.run(aio.find(*a))):
                with self.assertRaises(nw0.NotSent):
                    find(at, 0.2)

    def test_a_later_advert_moves_the_name(self):
        name = unique("moved")
        first, second = nw0.advertise(name), nw0.address()
        self.assertEqual(nw0.advertise(name, second), second)
        self.assertEqual(nw0.discover(name, PATIENCE), second)
        self.assertNotEqual(first, second)

    def test_a_name_is_taken_back(self):
        name = unique("gone")
        nw0.advertise(name)
        self.assertTrue(nw0.unadvertise(name))
        self.assertFalse(nw0.unadvertise(name))
        self.assertIsNone(nw0.discover(name, 0))

    def test_all_services_and_groups(self):
        group = unique("group")
        a, b = nw0.advertise(group + "/a"), nw0.advertise(group + "/b")
        c = nw0.advertise(group + ":c")
        self.assertIn([group + "/a", a], nw0.discover_all())
        everything = dict(nw0.discover_all())
        self.assertEqual((everything[group + "/a"], everything[group + ":c"]), (a, c))
        self.assertEqual(sorted(nw0.discover_group(group)), [(group + "/a", a), (group + "/b", b)])
        self.assertEqual(nw0.discover_group(group, separator=":"), [(group + ":c", c)])
        self.assertEqual(nw0.discover_group(group, exclude=[group + "/a"]), [(group + "/b", b)])
        self.assertEqual(nw0.discover_group(unique("nobody")), [])


class Messages(unittest.TestCase):
    def test_a_message_and_its_reply(self):
        address = nw0.advertise(unique("echo"))
        thread = answering(address, lambda message: "Hello, " + message)
        self.assertEqual(nw0.send_message_to(address, "World"), "Hello, World")
        thread.join()

    def test_a_message_that_is_replied_to_at_once(self):
        address = nw0.advertise(unique("lamp"))
        got = []
        thread = threading.Thread(
            target=lambda: got.append(nw0.wait_for_message_from(address, PATIENCE, autoreply=True))
        )
        thread.start()
        self.assertIsNone(nw0.send_message_to(address, "red"))
        thread.join()
        self.assertEqual(got, ["red"])

    def test_polling(self):
        address = nw0.advertise(unique("poll"))
        self.assertIsNone(nw0.wait_for_message_from(address, 0))
        self.assertIsNone(nw0.wait_for_message_from(address, wait_for_s=0.01))

    def test_no_reply_in_time_is_an_error_that_leaves_everything_usable(self):
        address = nw0.advertise(unique("slow"))
        with self.assertRaises(nw0.SocketTimedOutError) as caught:
            nw0.send_message_to(address, "first", 0.05)
        self.assertIsInstance(caught.exception, nw0.CallError)
        thread = answering(address, lambda message: message)
        self.assertEqual(nw0.send_message_to(address, "second", PATIENCE), "second")
        thread.join()

    def test_a_message_that_was_taken_may_have_been_handled(self):
        source = "address = nw0.advertise(sys.argv[1]); say(address); nw0.wait_for_message_from(address); say('taken')"
        with Program(source + "; sys.stdin.readline()", unique("taken")) as program:
            address = program.line()
            with self.assertRaises(nw0.Unknown) as caught:
                nw0.send_message_to(address, "hello", 1)
            self.assertEqual(program.line(), "taken")
            program.tell()
            program.finish()
        self.assertFalse(caught.exception.is_safe_to_repeat)
        self.assertIsInstance(caught.exception, nw0.SocketTimedOutError)

    def test_a_program_that_dies_meanwhile_leaves_it_unknown(self):
        source = "address = nw0.advertise(sys.argv[1]); say(address); nw0.wait_for_message_from(address)"
        with Program(source + "; import os, signal; os.kill(os.getpid(), signal.SIGKILL)", unique("killed")) as program:
            with self.assertRaises(nw0.Unknown) as caught:
                nw0.send_message_to(program.line(), "hello", PATIENCE)
        self.assertNotIsInstance(caught.exception, nw0.SocketTimedOutError)

    def test_who_waits_again_leaves_the_message_before_without_a_reply(self):
        address = nw0.advertise(unique("rude"))
        thread = threading.Thread(
            target=lambda: [nw0.wait_for_message_from(address, PATIENCE), nw0.wait_for_message_from(address, 0)]
        )
        thread.start()
        with self.assertRaises(nw0.Refused) as caught:
            nw0.send_message_to(address, "hello", PATIENCE)
        thread.join()
        self.assertEqual(caught.exception.reason, "unanswered")
        self.assertFalse(caught.exception.is_safe_to_repeat)

    def test_a_reply_without_a_message(self):
        with self.assertRaisesRegex(nw0.NetworkZeroError, "no message to reply to"):
            nw0.send_reply_to(nw0.advertise(unique("silent")), "hello")

    def test_a_reply_that_cannot_travel_is_told_to_both(self):
        address = nw0.advertise(unique("odd"))
        problems = []

        def run():
            nw0.wait_for_message_from(address, PATIENCE)
            try:
                nw0.send_reply_to(address, {1, 2})
            except nw0.CannotTravel as error:
                problems.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        with self.assertRaisesRegex(nw0.Refused, "a set cannot travel"):
            nw0.send_message_to(address, None, PATIENCE)
        thread.join()
        self.assertEqual(len(problems), 1)

    def test_nobody_there(self):
        port = nw0.advertise(unique("closed")).rpartition(":")[2]
        name = unique("closing")
        address = nw0.advertise(name)
        nw0.unadvertise(name)
        self.assertNotEqual(address, port)
        with self.assertRaises(nw0.NotSent) as caught:
            nw0.send_message_to(address, "hello", 0.2)
        self.assertTrue(caught.exception.is_safe_to_repeat)

    def test_several_addresses_are_none(self):
        with self.assertRaises(nw0.InvalidAddressError):
            nw0.send_message_to(["127.0.0.1:1", "127.0.0.1:2"], "hello")


class News(unittest.TestCase):
    def test_news_of_a_topic(self):
        address = nw0.advertise(unique("weather"))
        self.assertEqual(nw0.wait_for_news_from(address, wait_for_s=0), (None, None))
        nw0.send_news_to(address, "wind", {"speed": 12})
        nw0.send_news_to(address, "rain")
        self.assertEqual(nw0.wait_for_news_from(address, wait_for_s=PATIENCE), ("wind", {"speed": 12}))
        self.assertEqual(nw0.wait_for_news_from(address, wait_for_s=PATIENCE), ("rain", None))

    def test_a_prefix_and_several(self):
        address = nw0.advertise(unique("weather"))
        for prefix in ["wind", ["wind", "rain"]]:
            self.assertEqual(nw0.wait_for_news_from(address, prefix, 0), (None, None))
        for topic in ["sun", "wind", "rain"]:
            nw0.send_news_to(address, topic, topic)
        self.assertEqual(nw0.wait_for_news_from(address, "wind", PATIENCE), ("wind", "wind"))
        both = [nw0.wait_for_news_from(address, ["wind", "rain"], PATIENCE)[0] for _ in range(2)]
        self.assertEqual(both, ["wind", "rain"])

    def test_several_addresses_and_raw_bytes(self):
        addresses = [nw0.advertise(unique("one")), nw0.advertise(unique("two"))]
        self.assertEqual(nw0.wait_for_news_from(addresses, wait_for_s=0, is_raw=True), (None, None))
        for address in addresses:
            nw0.send_news_to(address, "raw", b"\x00\xff")
        for _ in addresses:
            self.assertEqual(nw0.wait_for_news_from(addresses, wait_for_s=PATIENCE, is_raw=True), ("raw", b"\x00\xff"))

    def test_news_as_an_iterator(self):
        address = nw0.advertise(unique("numbers"))
        with nw0.listen(address, "n", wait_for_s=0.01) as news:
            self.assertEqual(list(news), [])
            for number in range(3):
                nw0.send_news_to(address, "n", number)
            taken = []
            while len(taken) < 3:
                taken += [data for _, data in news]
            self.assertEqual((taken, news.missed), ([0, 1, 2], 0))

    def test_what_is_too_much_is_counted(self):
        address = nw0.advertise(unique("flood"))
        with nw0.listen(address, wait_for_s=PATIENCE) as news:
            first = threading.Event()

            def publish():
                # Until the subscription stands, nobody hears.
                while not first.is_set():
                    nw0.send_news_to(address, "n", 0)
                    time.sleep(0.001)
                for number in range(1, 20001):
                    nw0.send_news_to(address, "n", number)

            thread = threading.Thread(target=publish)
            thread.start()
            next(news)
            first.set()
            thread.join()
            # Nothing was taken meanwhile; the last is always kept.
            numbers = []
            while not numbers or numbers[-1] != 20000:
                numbers.append(next(news)[1])
        self.assertEqual(numbers, sorted(numbers))
        self.assertGreater(news.missed, 0)


class Misspelt(unittest.TestCase):
    """A name that nobody has, and that is nearly one that somebody has."""

    def setUp(self):
        self.name = unique("robot/arm")
        nw0.advertise(self.name)
        self.misspelt = self.name.replace("arm", "amr")
        self.expected = "nobody advertises \"%s\".*Did you mean \"%s\"\\?" % (self.misspelt, self.name)

    def test_who_discovers_it_is_told_long_before_the_wait_is_over(self):
        source = """
            import threading
            threading.Thread(target=nw0.discover, args=(sys.argv[1],), daemon=True).start()
            say("looking")
            sys.stdin.readline()
        """
        with Program(source, self.misspelt) as program:
            self.assertEqual(program.line(), "looking")
            self.assertRegex(program.error_line(), "still looking: " + self.expected)

    def test_so_is_who_finds_it_and_the_error_says_it_again(self):
        with self.assertLogs("meshzero", "WARNING") as logged, self.assertRaisesRegex(nw0.NotSent, self.expected) as caught:
            nw0.find(self.misspelt, 2.2)
        self.assertRegex("".join(logged.output), "still looking: " + self.expected)
        self.assertEqual(len(logged.output), 1)
        self.assertIn("waited 2.2s", str(caught.exception))

    def test_none_is_explained_once(self):
        with self.assertLogs("meshzero", "WARNING") as logged:
            self.assertIsNone(nw0.discover(self.misspelt, 1))
        self.assertRegex("".join(logged.output), self.expected)
        self.assertEqual(len(logged.output), 1)

    def test_who_polls_is_told_nothing(self):
        with mock.patch.object(logging.getLogger("meshzero"), "warning") as warning:
            self.assertIsNone(nw0.discover(self.misspelt, 0.1))
        warning.assert_not_called()

    def test_who_looks_in_a_loop_is_told_once(self):
        with self.assertLogs("meshzero", "WARNING") as logged:
            for _ in range(3):
                self.assertIsNone(nw0.discover(self.misspelt, 1))
        self.assertEqual(len(logged.output), 1)

    def test_a_handler_of_the_log_runs_where_the_program_waits_and_what_it_raises_ends_the_wait(self):
        threads = []

        class Ends(logging.Handler):
            def emit(self, record):
                threads.append(threading.current_thread())
                raise KeyboardInterrupt

        logger = logging.getLogger("meshzero")
        handler = Ends()
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        with self.assertRaises(KeyboardInterrupt):
            nw0.discover(self.misspelt, PATIENCE)
        self.assertEqual(threads, [threading.current_thread()])

    def test_a_handler_of_the_log_runs_on_the_thread_of_the_loop(self):
        threads = []
        logger = logging.getLogger("meshzero")
        handler = logging.Handler()
        handler.emit = lambda record: threads.append(threading.current_thread())
        logger.addHandler(handler)
        self.addCleanup(logger.removeHandler, handler)
        self.assertIsNone(asyncio.run(aio.discover(self.misspelt, 2.2)))
        self.assertEqual(threads, [threading.current_thread()])

    def test_a_program_without_a_log_is_told_on_standard_error_and_imports_none(self):
        source = """
            nw0.discover(sys.argv[1], 1)
            say("logging" in sys.modules)
        """
        with Program(source, self.misspelt) as program:
            self.assertEqual(program.line(), "False")
            program.finish()
            self.assertRegex(program.errors(), self.expected)

    def test_an_address_at_which_nobody_answers_is_waited_for_as_long_as_was_asked_for(self):
        with self.assertLogs("meshzero", "WARNING"), self.assertRaisesRegex(nw0.NotSent, "waited 2.2s"):
            nw0.find("127.0.0.1:1", 2.2)

    def test_the_coroutines_say_the_same(self):
        with self.assertLogs("meshzero", "WARNING") as logged, self.assertRaisesRegex(nw0.NotSent, self.expected):
            asyncio.run(aio.find(self.misspelt, 2.2))
        self.assertRegex("".join(logged.output), "still looking: " + self.expected)


class NamesInErrors(unittest.TestCase):
    """Errors of calls say which service it was, and not only where."""

    def test_of_one_that_does_not_reply(self):
        name = unique("mute")
        address = nw0.advertise(name)
        with self.assertRaisesRegex(nw0.TimedOut, '^"%s" at %s did not reply within 50ms' % (name, address)):
            nw0.send_message_to(address, "hello", 0.05)

    def test_of_another_program(self):
        name = unique("other")
        with Program("a = nw0.advertise(sys.argv[1]); say(a); nw0.wait_for_message_from(a); sys.stdin.readline()", name) as program:
            address = program.line()
            with self.assertRaisesRegex(nw0.TimedOut, '^"%s" at %s did not reply' % (name, address)):
                nw0.send_message_to(address, "hello", 1)
            service = nw0.find(name, PATIENCE)
            with self.assertRaisesRegex(nw0.Refused, '^"%s" at %s' % (name, service.address)) as caught:
                service.jump()
            self.assertEqual(caught.exception.handles, ("Value",))
            program.tell()
            program.finish()
        with self.assertRaisesRegex(nw0.NotSent, '^"%s": nothing of this mesh answers at %s' % (name, address)):
            nw0.send_message_to(address, "hello", 0.3)

    def test_of_one_that_has_none(self):
        address = nw0.address()
        nw0.wait_for_message_from(address, 0)
        with self.assertRaisesRegex(nw0.TimedOut, "^%s did not reply" % address):
            nw0.send_message_to(address, "hello", 0.05)


class Addresses(unittest.TestCase):
    def test_an_address_is_named_and_not_held(self):
        for named in (nw0.address(), nw0.address("127.0.0.1"), nw0.address("127.*")):
            self.assertIn(int(named.rpartition(":")[2]), nw0.config.DYNAMIC_PORTS)
            # Another program, or a socket of another library, listens there.
            listen = """
                import socket
                ip, port = sys.argv[1].split(":")
                with socket.socket() as listening:
                    listening.bind((ip, int(port)))
                    listening.listen()
                say("it was free")
            """
            with Program(listen, named) as program:
                self.assertEqual(program.line(), "it was free")
                program.finish()
            self.assertIsNone(nw0.wait_for_message_from(named, 0))
            thread = answering(named, lambda message: message * 2)
            self.assertEqual(nw0.send_message_to(named, 2, PATIENCE), 4)
            thread.join()
            name = unique("named")
            self.assertEqual(nw0.advertise(name, named), named)
            self.assertEqual(nw0.discover(name, PATIENCE), named)

    def test_nobody_else_of_this_program_is_given_it(self):
        named = {nw0.address() for _ in range(200)}
        self.assertEqual(len(named), 200)

    def test_ports_that_nobody_asked_for_are_dynamic(self):
        for address in (nw0.advertise(unique("dynamic")), nw0.advertise(unique("dynamic"), "127.0.0.1")):
            self.assertIn(int(address.rpartition(":")[2]), nw0.config.DYNAMIC_PORTS)

    def test_a_program_that_listens_at_an_address_that_was_named_takes_messages_there(self):
        named = nw0.address()
        with Program("nw0.advertise(sys.argv[1], sys.argv[2]); say('there'); a = sys.argv[2]; "
                     "nw0.send_reply_to(a, nw0.wait_for_message_from(a) + '!')", unique("given"), named) as program:
            self.assertEqual(program.line(), "there")
            self.assertEqual(nw0.send_message_to(named, "hello", PATIENCE), "hello!")
            program.finish()

    def test_parts_are_completed(self):
        self.assertRegex(nw0.address(), r"^127\.0\.0\.1:\d+$")
        self.assertRegex(nw0.address("127.0.0.1"), r"^127\.0\.0\.1:\d+$")
        self.assertRegex(nw0.address("127.*"), r"^127\.0\.0\.1:\d+$")
        self.assertEqual(nw0.address("192.168.1.7:9000"), "192.168.1.7:9000")
        port = nw0.address().rpartition(":")[2]
        self.assertEqual(nw0.address(int(port)).rpartition(":")[2], port)

    def test_what_is_none_says_so(self):
        for text in ["127.0.0.1:99999", "1.2.3:4:5"]:
            with self.assertRaises(nw0.AddressError):
                nw0.send_message_to(text, "hello", 0)
        for text in [123456, "!!!:INVALID"]:
            with self.assertRaises(nw0.AddressError):
                nw0.address(text)
        with self.assertRaises(nw0.InvalidAddressError) as caught:
            nw0.address("no-such-host.invalid:80")
        self.assertIn("no-such-host.invalid", str(caught.exception))
        with self.assertRaises(nw0.NoAddressFoundError):
            nw0.address("10.255.*")
        with self.assertRaisesRegex(nw0.AddressError, "192.0.2.1 is not an address of this computer"):
            nw0.advertise(unique("elsewhere"), "192.0.2.1")


class Texts(unittest.TestCase):
    def test_texts(self):
        self.assertEqual(nw0.action_and_params("GO 'far away' 3"), ("GO", ["far away", "3"]))
        self.assertEqual(nw0.string_to_bytes(nw0.bytes_to_string(b"\x00\xff")), b"\x00\xff")
        self.assertEqual(repr(nw0.FOREVER), "<Forever>")
