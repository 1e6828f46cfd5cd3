"""Objects as services, and services called by the names of their messages."""

import asyncio
import contextlib
import io
import threading
import unittest

import meshzero
from meshzero import _meshzero, aio
from meshzero._remote import Remote

from .support import PATIENCE, unique


@meshzero.service("replaced by each test")
class Arm:
    def __init__(self):
        self.at = 0.0
        self.threads = set()

    def move(self, by, fast=False):
        self.threads.add(threading.get_ident())
        self.at += by
        return {"at": self.at, "fast": fast}

    def stop(self):
        return None

    def fail(self):
        raise ValueError("the joint is stuck")

    def odd(self):
        return {1, 2}

    def whole(self, message):
        return message

    def _hidden(self):
        return "hidden"


class Callable(Arm):
    def __call__(self, message):
        return "got %s" % message


class Services(unittest.TestCase):
    def serve(self, actor):
        service = meshzero.serve(actor, unique("robot/arm"))
        self.addCleanup(service.close)
        return meshzero.find(service.name, PATIENCE, wait_for_reply_s=PATIENCE)

    def test_methods_are_messages(self):
        arm = self.serve(Arm())
        self.assertEqual(arm.move(by=1.5), {"at": 1.5, "fast": False})
        self.assertEqual(arm.move(by=1, fast=True), {"at": 2.5, "fast": True})
        self.assertIsNone(arm.stop())
        self.assertEqual(arm.whole([1, (2,)]), [1, (2,)])
        self.assertEqual(arm.send("move", {"by": 0}), {"at": 2.5, "fast": False})

    def test_an_exception_is_told_to_the_caller_and_the_service_goes_on(self):
        arm = self.serve(Arm())
        with self.assertRaisesRegex(meshzero.Refused, "ValueError: the joint is stuck") as caught:
            arm.fail()
        self.assertEqual((caught.exception.reason, caught.exception.is_safe_to_repeat), ("failed", False))
        self.assertEqual(arm.move(by=1), {"at": 1.0, "fast": False})

    def test_a_reply_that_cannot_travel(self):
        arm = self.serve(Arm())
        with contextlib.redirect_stderr(io.StringIO()) as complaint:
            with self.assertRaisesRegex(meshzero.Refused, "reply: a set cannot travel"):
                arm.odd()
            self.assertIsNone(arm.stop())
        self.assertIn("CannotTravel", complaint.getvalue())

    def test_fields_that_do_not_fit_are_refused_before_anything_runs(self):
        arm = self.serve(Arm())
        with self.assertRaisesRegex(meshzero.Refused, "unexpected keyword argument 'far'") as caught:
            arm.move(by=1, far=2)
        self.assertEqual((caught.exception.reason, caught.exception.is_safe_to_repeat), ("undecodable", True))
        with self.assertRaisesRegex(meshzero.Refused, "missing a required argument: 'by'"):
            arm.move()
        self.assertEqual(arm.move(by=0)["at"], 0.0)

    def test_what_is_no_message_is_refused_with_what_is(self):
        arm = self.serve(Arm())
        for wrong in [lambda: arm.jump(), lambda: arm("hello"), lambda: arm.send("_hidden")]:
            with self.assertRaises(meshzero.Refused) as caught:
                wrong()
            self.assertEqual(caught.exception.reason, "no handler")
            self.assertTrue({"fail", "move", "odd", "stop", "whole"} <= set(caught.exception.handles))
        with self.assertRaises(TypeError):
            arm.move(1, by=2)
        with self.assertRaises(AttributeError):
            arm._hidden

    def test_an_object_that_can_be_called_takes_plain_messages(self):
        arm = self.serve(Callable())
        self.assertEqual(arm("hello"), "got hello")
        self.assertEqual(meshzero.send_message_to(arm.address, "plain", PATIENCE), "got plain")

    def test_one_message_at_a_time(self):
        actor = Arm()
        arm = self.serve(actor)
        callers = [threading.Thread(target=lambda: [arm.move(by=1) for _ in range(25)]) for _ in range(4)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        self.assertEqual((actor.at, len(actor.threads)), (100.0, 1))

    def test_news_of_a_service(self):
        with meshzero.serve(Arm(), unique("teller")) as service:
            self.assertEqual(meshzero.wait_for_news_from(service.address, wait_for_s=0), (None, None))
            service.publish("pose", (1, 2))
            self.assertEqual(meshzero.wait_for_news_from(service.address, wait_for_s=PATIENCE), ("pose", (1, 2)))

    def test_a_service_that_is_closed_is_gone(self):
        with meshzero.serve(Arm(), unique("closing")) as service:
            self.assertEqual(meshzero.discover(service.name, PATIENCE), service.address)
        self.assertIsNone(meshzero.discover(service.name, 0))
        with self.assertRaises(meshzero.NotSent) as caught:
            meshzero.find(service.name, 0)
        # The likeliest cause comes first: tests stay on this machine.
        self.assertRegex(str(caught.exception), "^nobody advertises .* on this machine, and the choice of interfaces")

    def test_a_service_needs_a_name(self):
        with self.assertRaisesRegex(TypeError, "a service needs a name"):
            meshzero.serve(object())


class AsyncCallers(unittest.IsolatedAsyncioTestCase):
    async def test_a_service_is_called_by_name(self):
        with meshzero.serve(Callable(), unique("arm")) as service:
            arm = await aio.find(service.name)
            self.assertEqual(await arm.move(by=2), {"at": 2.0, "fast": False})
            self.assertEqual(await arm("hello"), "got hello")

    async def test_a_message_without_fields_is_nothing_or_an_empty_one(self):
        address = _meshzero.advertise(unique("strict"), None, False, ["Move", "Ping", "Stop"])

        async def serve():
            async for request in aio.requests(address):
                if request.message is None and request.name == "Stop":
                    request.misunderstand("it has fields, all of which may be missing")
                else:
                    request.reply([request.name, request.message])

        serving = asyncio.ensure_future(serve())
        arm = aio.Remote(address, PATIENCE)
        self.assertEqual(await arm.Ping(), ["Ping", None])
        self.assertEqual(await arm.Stop(), ["Stop", {}])
        self.assertEqual(await arm.Move(3), ["Move", 3])
        self.assertEqual(await asyncio.to_thread(Remote(address, PATIENCE).Stop), ["Stop", {}])
        with self.assertRaisesRegex(TypeError, "one message, or the fields of one"):
            await arm.Move(3, by=1)
        serving.cancel()
