"""Each verb, as NetworkZero documents it."""

import threading
import time
import unittest

import meshzero as nw0

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


class Addresses(unittest.TestCase):
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
