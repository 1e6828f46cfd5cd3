"""Objects as services, and services called by the names of their messages."""

import asyncio
import contextlib
import ctypes
import io
import sys
import threading
import unittest

import meshzero
from meshzero import _meshzero, aio
from meshzero._remote import Remote

from .support import PATIENCE, Program, unique, tearDownModule


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


class Mute(Exception):
    def __str__(self):
        raise SystemExit("nobody is told")


class Words(str):
    def __getitem__(self, key):
        raise SystemExit("no part of it")

    def encode(self, *_):
        raise SystemExit("no bytes of it")

    def __str__(self):
        return self


class Wordy(Exception):
    def __str__(self):
        return Words("words of its own")


class NamelessClass(type):
    @property
    def __name__(cls):
        raise SystemExit("no name")


class Nameless(Exception, metaclass=NamelessClass):
    pass


class Leaving:
    @property
    def __signature__(self):
        raise SystemExit("no signature")

    def __call__(self):
        return "never"


class Growing:
    """A list that travels, until somebody looks at what is in it."""

    def __init__(self):
        self.items = [self]


class Unsigned:
    @property
    def __signature__(self):
        raise RuntimeError("no signature")

    def __call__(self, fail):
        raise ValueError(fail)


class Daemon:
    """Whatever a method may do to the thread that calls it."""

    ENDS = [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, BaseException, MemoryError]

    def leave(self, number):
        raise self.ENDS[number]("by order")

    def quit(self):
        sys.exit()

    def mute(self):
        raise Mute

    def half(self):
        raise ValueError("half a character: \ud800")

    def long(self):
        raise ValueError("x" * 5_000_000)

    def deep(self):
        return self.deep()

    def odd(self, number):
        endless = []
        endless.append(endless)
        return [{1}, object(), endless, 1 << 80, "\ud800", "x" * 5_000_000, Growing()][number]

    def coroutine(self):
        async def later():
            return 1

        self.made = later()
        return self.made

    # It has no signature.
    native = staticmethod(max)

    # Its signature cannot be found out.
    unsigned = Unsigned()

    # Asking for its signature leaves the program.
    leaving = Leaving()

    def wordy(self):
        raise Wordy

    def nameless(self):
        raise Nameless("told all the same")

    def well(self):
        return "well"


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

    def test_no_caller_can_end_a_service(self):
        actor = Daemon()
        daemon = self.serve(actor)
        calls = [lambda number=number: daemon.leave(number=number) for number in range(len(Daemon.ENDS))]
        calls += [lambda number=number: daemon.odd(number=number) for number in range(7)]
        calls += [daemon.quit, daemon.mute, daemon.half, daemon.long, daemon.deep, daemon.coroutine]
        calls += [daemon.wordy, daemon.nameless, daemon.leaving]
        calls += [lambda: daemon.native(7), lambda: daemon.native(no=7), lambda: daemon.unsigned(fail=True)]
        for call in calls:
            with contextlib.redirect_stderr(io.StringIO()):
                with self.assertRaises(meshzero.Refused) as caught:
                    call()
                self.assertIn(caught.exception.reason, ("failed", "bad reply"), str(caught.exception))
                self.assertLess(len(str(caught.exception)), 20_000)
                self.assertEqual(daemon.well(), "well")
        actor.made.close()

    def test_how_a_method_left_is_told(self):
        daemon = self.serve(Daemon())
        for call, told in [
            (daemon.quit, "SystemExit: "),
            (daemon.mute, r"Mute: \(its text is not known: __str__ raised SystemExit\)"),
            (daemon.half, r"ValueError: half a character: \\ud800"),
            (daemon.long, "ValueError: xxx"),
            (daemon.wordy, "Wordy: words of its own"),
            (daemon.nameless, "Nameless: told all the same"),
            (daemon.leaving, "SystemExit: no signature"),
        ]:
            with self.assertRaisesRegex(meshzero.Refused, told):
                call()

    def test_a_service_whose_thread_ends_all_the_same_is_withdrawn(self):
        service = meshzero.serve(Daemon(), unique("killed"))
        self.addCleanup(service.close)
        with contextlib.redirect_stderr(io.StringIO()) as complaint:
            # As recipes for killing threads do it. It comes when the thread has something to do.
            thread = ctypes.c_ulong(service._thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(SystemExit))
            with contextlib.suppress(meshzero.CallError):
                meshzero.find(service.name, PATIENCE, wait_for_reply_s=PATIENCE).well()
            service.wait(PATIENCE)
        self.assertIn("the service '%s' at %s has ended" % (service.name, service.address), complaint.getvalue())
        self.assertIn("SystemExit", complaint.getvalue())
        self.assertIsNone(meshzero.discover(service.name, 0))

    def test_ctrl_c_ends_a_program_that_serves(self):
        source = """
            class Daemon:
                def quit(self):
                    sys.exit()

            with nw0.serve(Daemon(), sys.argv[1]) as service:
                say(service.address)
                service.wait()
        """
        with Program(source, unique("daemon")) as program:
            with self.assertRaises(meshzero.Refused):
                Remote(program.line(), PATIENCE).quit()
            program.interrupt()
            self.assertNotEqual(program.end(), 0)
            self.assertIn("KeyboardInterrupt", program.errors())

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
            self.assertEqual(set(caught.exception.handles), {"fail", "move", "odd", "stop", "whole"})
        with self.assertRaises(TypeError):
            arm.move(1, by=2)
        with self.assertRaises(AttributeError):
            arm._hidden

    def test_an_object_that_can_be_called_takes_plain_messages(self):
        arm = self.serve(Callable())
        self.assertEqual(arm("hello"), "got hello")
        self.assertEqual(meshzero.send_message_to(arm.address, "plain", PATIENCE), "got plain")
        # What it is said to handle, it handles.
        with self.assertRaises(meshzero.Refused) as caught:
            arm.jump()
        self.assertIn("Value", caught.exception.handles)

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

    def test_a_service_that_is_closed_already_leaves_the_next_one_at_its_address_alone(self):
        name = unique("again")

        def close(service):
            service.close()

        def unadvertise(service):
            self.assertTrue(meshzero.unadvertise(name))
            service.wait(PATIENCE)

        for end in close, unadvertise:
            with meshzero.serve(Arm(), name) as service:
                end(service)
                other = meshzero.serve(Arm(), name, service.address)
                service.close()
            self.assertEqual(other.address, service.address)
            self.assertEqual(meshzero.find(other.address).move(by=1)["at"], 1)
            other.close()
            self.assertIsNone(meshzero.discover(name, 0))

    def test_a_method_that_closes_its_service_is_answered(self):
        class Daemon:
            def quit(self):
                service.close()
                return "bye"

        service = meshzero.serve(Daemon(), unique("daemon"))
        self.assertEqual(meshzero.find(service.name).quit(), "bye")
        service.wait(PATIENCE)
        self.assertIsNone(meshzero.discover(service.name, 0))

    def test_objects_of_one_name_in_one_program_stand_beside_each_other(self):
        class Worker:
            def __init__(self, number):
                self.number = number

            def who(self):
                return self.number

        class Other(Worker):
            def more(self):
                return "more"

        name = unique("worker")
        with meshzero.serve(Worker(1), name) as first:
            with self.assertLogs("meshzero", "WARNING") as logged:
                second = meshzero.serve(Worker(2), name)
            self.assertIn("offers %r already, at %s" % (name, first.address), "".join(logged.output))
            third = meshzero.serve(Other(3), name)
            services = (first, second, third)
            self.assertEqual(len({service.address for service in services}), 3)
            for number, service in enumerate(services, 1):
                self.assertEqual([meshzero.find(service.address).who() for _ in range(4)], [number] * 4)
            self.assertEqual(meshzero.find(third.address).more(), "more")
            plain = meshzero.advertise(name)
            self.assertNotIn(plain, {service.address for service in services})
            self.assertEqual(meshzero.advertise(name), plain)
            second.close()
            self.assertNotIn([name, second.address], meshzero.discover_all())
            third.close()
            self.assertEqual(meshzero.find(first.address).who(), 1)
            self.assertTrue(meshzero.unadvertise(name))
            first.wait(PATIENCE)
            self.assertFalse(first._thread.is_alive())
        self.assertIsNone(meshzero.discover(name, 0))

    def test_two_objects_do_not_share_an_address(self):
        with meshzero.serve(Arm(), unique("one")) as one:
            for name in (one.name, unique("other")):
                with self.assertRaisesRegex(meshzero.NetworkZeroError, "is advertised as"):
                    meshzero.serve(Arm(), name, one.address)
            with self.assertRaisesRegex(meshzero.NetworkZeroError, "is advertised as"):
                meshzero.advertise(one.name, one.address)
            self.assertEqual(meshzero.find(one.address).move(by=1)["at"], 1)
        # Where this program waits for plain messages already, those of an object could not come.
        address = meshzero.address()
        self.assertIsNone(meshzero.wait_for_message_from(address, 0))
        with self.assertRaises(meshzero.AddressError):
            meshzero.serve(Arm(), unique("taken"), address)

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
        address = _meshzero.advertise_instance(unique("strict"), None, ["Move", "Ping", "Stop"])

        async def serve():
            async for request in aio.requests(address):
                if request.message is None and request.name == "Stop":
                    request.undecodable("it has fields, all of which may be missing")
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
