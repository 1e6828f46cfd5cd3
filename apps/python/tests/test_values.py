"""What can travel arrives as it was, and what cannot is named."""

import collections
import decimal
import enum
import math
import unittest

import meshzero
from meshzero import _meshzero

from .support import PATIENCE, answering, unique


class Colour(enum.IntEnum):
    RED = 1


Point = collections.namedtuple("Point", "x y")


def there_and_back(value):
    return _meshzero.unpack(_meshzero.pack(value))


class Values(unittest.TestCase):
    def test_everything_that_travels_arrives_as_it_was(self):
        numbers = [0, 1, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]
        numbers += [-1, -32, -33, -128, -129, -32768, -32769, -(2**31), -(2**31) - 1, -(2**63)]
        texts = ["", "a", "x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 65536, "größe 温度 🤖", "\0"]
        blobs = [b"", b"\0\xff", b"x" * 256, b"x" * 65536]
        floats = [0.0, -0.5, 1e300, math.inf, -math.inf]
        lists = [[], [1], [1] * 15, [1] * 16, [1] * 70000, [[], [[]]]]
        tuples = [(), (1,), (1, (2, [3, (4,)])), ((),) * 20]
        dicts = [{}, {"a": 1}, {7: b"x", None: 1, True: 2.5, (1, (2, "x")): [()]}, dict.fromkeys(range(70000))]
        for value in [None, True, False, *numbers, *texts, *blobs, *floats, *lists, *tuples, *dicts]:
            back = there_and_back(value)
            self.assertEqual(back, value)
            self.assertIs(type(back), type(value))

    def test_not_a_number_is_fine(self):
        self.assertTrue(math.isnan(there_and_back(math.nan)))

    def test_what_is_derived_travels_as_what_it_is_derived_from(self):
        for value, back in [
            (Colour.RED, 1),
            (Point(1, 2), (1, 2)),
            (collections.OrderedDict(a=1), {"a": 1}),
            (collections.defaultdict(int, a=1), {"a": 1}),
            (bytearray(b"ab"), b"ab"),
            (memoryview(b"abcd")[::2], b"ac"),
        ]:
            self.assertEqual(there_and_back(value), back)

    def test_order_and_types_survive_the_network(self):
        address = meshzero.advertise(unique("echo"))
        value = {"b": (1, [2, (3,)]), "a": b"\xff", 3: None, (1, 2): {"x": 1.5}}
        thread = answering(address, lambda message: message)
        reply = meshzero.send_message_to(address, value, PATIENCE)
        thread.join()
        self.assertEqual(reply, value)
        self.assertEqual(list(reply), list(value))
        self.assertIs(type(reply["b"]), tuple)


class BadValues(unittest.TestCase):
    def assert_cannot(self, value, text):
        with self.assertRaises(meshzero.CannotTravel) as caught:
            _meshzero.pack(value)
        self.assertIn(text, str(caught.exception))
        self.assertIsInstance(caught.exception, (TypeError, meshzero.NetworkZeroError))

    def test_the_error_says_which_object_and_where(self):
        value = {"items": [1, 2, 3, {"pos": decimal.Decimal("1.5")}]}
        self.assert_cannot(value, 'object["items"][3]["pos"]: a Decimal cannot travel')
        self.assert_cannot({1, 2}, "object: a set cannot travel")
        self.assert_cannot([object()], "object[0]: an object cannot travel")
        self.assert_cannot({decimal.Decimal(1): 2}, "object[Decimal('1')] (the key): a Decimal")
        with self.assertRaisesRegex(meshzero.CannotTravel, r"^message\[0\]: a function cannot travel"):
            meshzero.send_message_to("127.0.0.1:1", [lambda: None], 0)

    def test_numbers_beyond_64_bits(self):
        self.assert_cannot([2**64], "object[0]: a whole number beyond 64 bits")
        self.assert_cannot(-(2**63) - 1, "beyond 64 bits")

    def test_half_a_character(self):
        self.assert_cannot(["ok", "\ud800"], "object[1]: a text with half a character")

    def test_what_contains_itself(self):
        value = [1]
        value.append(value)
        self.assert_cannot(value, "it contains itself")
        deep = {}
        deep["x"] = [deep]
        self.assert_cannot(deep, "it contains itself")

    def test_what_is_nested_too_deep(self):
        deep = 1
        for _ in range(64):
            deep = [deep]
        self.assertEqual(there_and_back(deep), deep)
        self.assert_cannot([deep], "more than 64 levels deep")

    def test_bytes_that_are_no_message(self):
        for data in [b"", b"\xc1", b"\xdd\xff\xff\xff\xff", b"\xa2x", b"\xa1\xff", b"\xc0\xc0", b"\x91" * 100, b"\x81\x80\x01"]:
            with self.assertRaises(ValueError):
                _meshzero.unpack(data)

    def test_keys_that_could_be_none_become_tuples(self):
        # A map whose key is a list, as other languages have them.
        self.assertEqual(_meshzero.unpack(b"\x81\x92\x01\x91\x02\x03"), {(1, (2,)): 3})
