"""The waits for asyncio."""

import asyncio
import contextlib
import gc
import threading
import time
import unittest
from unittest import mock

import meshzero
from meshzero import _meshzero, _task, aio

from .support import PATIENCE, unique, tearDownModule


async def wrapped(awaitable):
    return await awaitable


def busy_until(is_done):
    """Holds up the loop, as a program does that works, until something has happened elsewhere."""
    deadline = time.monotonic() + PATIENCE
    while not is_done():
        if time.monotonic() > deadline:
            raise AssertionError("it does not happen")


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def test_a_message_and_its_reply(self):
        address = await aio.advertise(unique("echo"))

        async def serve():
            message = await aio.wait_for_message_from(address)
            await aio.send_reply_to(address, message + "!")

        serving = asyncio.create_task(serve())
        self.assertEqual(await aio.send_message_to(address, "hello", PATIENCE), "hello!")
        await serving

    async def test_tasks_share_a_thread_and_not_their_messages(self):
        address = await aio.advertise(unique("shared"))
        taken = asyncio.Event()

        async def serve():
            message = await aio.wait_for_message_from(address)
            if not taken.is_set():
                # The other takes its message before this one replies.
                await taken.wait()
            await aio.send_reply_to(address, "reply to %s" % message)

        async def serve_second():
            message = await aio.wait_for_message_from(address)
            taken.set()
            await aio.send_reply_to(address, "reply to %s" % message)

        first = asyncio.create_task(serve())
        call = asyncio.create_task(aio.send_message_to(address, 1, PATIENCE))
        await asyncio.sleep(0)
        second = asyncio.create_task(serve_second())
        self.assertEqual(await aio.send_message_to(address, 2, PATIENCE), "reply to 2")
        self.assertEqual(await call, "reply to 1")
        await asyncio.gather(first, second)

    async def test_many_calls_at_once_and_requests_in_any_order(self):
        address = await aio.advertise(unique("many"))

        async def serve():
            requests = []
            async for request in aio.requests(address):
                requests.append(request)
                if len(requests) == 10:
                    for waiting in reversed(requests):
                        waiting.reply(waiting.message * 2)
                    return

        serving = asyncio.create_task(serve())
        calls = [aio.send_message_to(address, number, PATIENCE) for number in range(10)]
        self.assertEqual(await asyncio.gather(*calls), [number * 2 for number in range(10)])
        await serving

    async def test_the_loop_goes_on_while_a_task_waits(self):
        address = await aio.advertise(unique("idle"))
        waiting = asyncio.create_task(aio.wait_for_message_from(address))
        for _ in range(1000):
            await asyncio.sleep(0)
        self.assertFalse(waiting.done())
        waiting.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await waiting

    async def test_what_is_cancelled_loses_no_message(self):
        address = await aio.advertise(unique("cancelled"))
        for _ in range(20):
            waiting = asyncio.create_task(aio.wait_for_message_from(address))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        call = asyncio.create_task(aio.send_message_to(address, "hello", PATIENCE))
        self.assertEqual(await aio.wait_for_message_from(address, PATIENCE), "hello")
        await aio.send_reply_to(address, "there")
        self.assertEqual(await call, "there")

    async def test_a_call_that_is_cancelled_is_not_wanted_any_more(self):
        address = await aio.advertise(unique("unwanted"))
        call = asyncio.create_task(aio.send_message_to(address, "hello"))
        async for request in aio.requests(address):
            self.assertTrue(request.is_wanted)
            call.cancel()
            while request.is_wanted:
                await asyncio.sleep(0)
            break

    async def test_errors_are_those_of_the_verbs(self):
        address = await aio.advertise(unique("late"))
        with self.assertRaises(meshzero.SocketTimedOutError):
            await aio.send_message_to(address, None, 0.05)
        self.assertIsNone(await aio.wait_for_message_from(address, 0.01))
        self.assertIsNone(await aio.discover(unique("nobody"), 0))
        with self.assertRaises(meshzero.NetworkZeroError):
            await aio.send_reply_to(address, "hello")

    async def test_news(self):
        address = await aio.advertise(unique("news"))
        self.assertEqual(await aio.wait_for_news_from(address, "n", 0.01), (None, None))
        async with aio.listen(address, "n") as news:
            await aio.send_news_to(address, "n", 0)
            self.assertEqual(await news.__anext__(), ("n", 0))
        self.assertEqual((await aio.wait_for_news_from(address, "n", PATIENCE)), ("n", 0))

    async def test_names(self):
        name = unique("named")
        address = await aio.advertise(name)
        self.assertEqual(await aio.discover(name), address)
        self.assertIn([name, address], await aio.discover_all())
        self.assertEqual(await aio.discover_group(name.partition("-")[0], "-"), [(name, address)])
        self.assertIsNone(await aio.advertise(name, fail_if_exists=True))
        self.assertTrue(await aio.unadvertise(name))
        self.assertFalse(await aio.unadvertise(name))
        self.assertEqual(await aio.advertise(name, address, fail_if_exists=True), address)

    async def test_every_verb_can_be_awaited(self):
        name = unique("awaited")
        address = await aio.advertise(name)
        self.assertIs(type(address), str)
        arguments = {
            "address": (),
            "advertise": (name,),
            "discover": (name,),
            "discover_all": (0,),
            "discover_group": (name,),
            "find": (name,),
            "listen": (address,),
            "requests": (address,),
            "send_message_to": (address, None, 0.01),
            "send_news_to": (address, "topic"),
            "send_reply_to": (address,),
            "unadvertise": (unique("nobody"),),
            "wait_for_message_from": (address, 0),
            "wait_for_news_from": (address, "", 0),
        }
        ways = {
            "await": wrapped,
            "create_task": asyncio.create_task,
            "ensure_future": asyncio.ensure_future,
            "gather": asyncio.gather,
            "wait_for": lambda awaitable: asyncio.wait_for(awaitable, PATIENCE),
            "shield": asyncio.shield,
        }
        for verb in aio.__all__:
            for way, begin in ways.items():
                with self.subTest(verb=verb, way=way), contextlib.suppress(meshzero.NetworkZeroError):
                    await begin(getattr(aio, verb)(*arguments.get(verb, ())))

    async def test_a_result_that_is_there_is_the_plain_one_once_awaited(self):
        name = unique("plain")
        self.assertIs(type(await asyncio.create_task(aio.advertise(name))), str)
        self.assertIs(type(await asyncio.create_task(aio.address())), str)
        self.assertIs(await asyncio.create_task(aio.unadvertise(name)), True)
        self.assertIs(await aio.unadvertise(name), False)
        self.assertEqual(await asyncio.gather(aio.unadvertise(name), aio.unadvertise(name)), [False, False])

    async def test_a_task_that_is_cancelled_before_its_first_step(self):
        for ready in (aio.address(), aio.unadvertise(unique("nobody"))):
            task = asyncio.create_task(ready)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

    async def test_what_is_there_at_once_need_not_be_awaited(self):
        name = unique("at once")
        address = aio.advertise(name)
        self.assertEqual(meshzero.discover(name), address)
        aio.send_news_to(address, "topic")
        self.assertTrue(aio.unadvertise(name))
        self.assertEqual(repr(aio.unadvertise(name)), "False")
        self.assertRegex(aio.address(), r"^127\.0\.0\.1:\d+$")

    async def test_a_name_is_taken_back_or_moved_while_a_message_has_no_reply_yet(self):
        for withdraw in (aio.unadvertise, lambda name: aio.advertise(name, aio.address())):
            name = unique("busy")
            address = await aio.advertise(name)
            # Shorter than the time for which an address is kept open for such a reply.
            call = asyncio.create_task(aio.send_message_to(address, "hello", 4))
            self.assertEqual(await aio.wait_for_message_from(address, PATIENCE), "hello")
            withdrawn = withdraw(name)
            self.assertTrue(withdrawn)
            await aio.send_reply_to(address, "and to you")
            self.assertEqual(await call, "and to you")
            self.assertTrue(await withdrawn)
        self.assertIs(await aio.unadvertise(name), True)
        self.assertIs(await asyncio.wait_for(aio.unadvertise(name), PATIENCE), False)

    async def test_the_end_of_an_address_is_awaited_again_after_a_wait_that_was_cancelled(self):
        name = unique("busy")
        address = await aio.advertise(name)
        call = asyncio.create_task(aio.send_message_to(address, "hello", PATIENCE))
        self.assertEqual(await aio.wait_for_message_from(address, PATIENCE), "hello")
        withdrawn = aio.unadvertise(name)
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(withdrawn, 0.01)
        both = [asyncio.create_task(wrapped(withdrawn)) for _ in range(2)]
        done, _ = await asyncio.wait(both, timeout=0.01)
        self.assertFalse(done)
        await aio.send_reply_to(address, "and to you")
        self.assertEqual(await call, "and to you")
        self.assertEqual(await asyncio.wait_for(asyncio.gather(*both), PATIENCE), [True, True])
        self.assertEqual(await aio.advertise(unique("after"), address), address)


class Cancelled(unittest.IsolatedAsyncioTestCase):
    """What has arrived is handed over, or comes again."""

    async def asyncSetUp(self):
        self.address = await aio.advertise(unique("cancelled"))

    async def arrived(self, later):
        """A task that waits, and for which something has arrived that it has not got yet."""
        done = []
        with mock.patch.object(_task, "run", heeding(done)):
            task = asyncio.create_task(later)
            await asyncio.sleep(0)
        return task, lambda: busy_until(lambda: done)

    async def test_an_item_that_arrived_before_the_task_was_cancelled(self):
        async with aio.listen(self.address) as news:
            for number in range(5):
                task, arrives = await self.arrived(news.__anext__())
                await aio.send_news_to(self.address, "n", number)
                arrives()
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await task
                self.assertEqual(await news.__anext__(), ("n", number))
            self.assertEqual(news.missed, 0)

    async def test_an_item_whose_task_is_cancelled_when_it_is_about_to_go_on(self):
        async with aio.listen(self.address) as news:
            task, arrives = await self.arrived(news.__anext__())
            await aio.send_news_to(self.address, "n", 1)
            arrives()
            # The loop has told the task, which has not gone on yet.
            await asyncio.sleep(0)
            task.cancel()
            result = (await asyncio.gather(task, return_exceptions=True))[0]
            if isinstance(result, asyncio.CancelledError):
                result = await news.__anext__()
            self.assertEqual(result, ("n", 1))

    async def test_several_items_come_again_in_order(self):
        async with aio.listen(self.address) as news:
            waiting = [await self.arrived(news.__anext__()) for _ in range(3)]
            for number in range(4):
                await aio.send_news_to(self.address, "n", number)
            for _, arrives in waiting:
                arrives()
            for task, _ in waiting:
                task.cancel()
            await asyncio.gather(*(task for task, _ in waiting), return_exceptions=True)
            self.assertEqual([(await news.__anext__())[1] for _ in range(4)], [0, 1, 2, 3])

    async def test_items_stay_in_order_for_the_others_who_wait(self):
        async with aio.listen(self.address) as news:
            # Which of the waiting tasks is the first to go on depends on when the items arrive.
            taken = []

            async def take():
                taken.append((await news.__anext__())[1])

            waiting = [await self.arrived(take()) for _ in range(3)]
            for number in range(4):
                await aio.send_news_to(self.address, "n", number)
            for _, arrives in waiting:
                arrives()
            first, *others = (task for task, _ in waiting)
            first.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await first
            await asyncio.gather(*others)
            self.assertEqual(taken, [0, 1])
            self.assertEqual([(await news.__anext__())[1] for _ in range(2)], [2, 3])

    async def test_messages_stay_in_order_for_the_others_who_wait(self):
        requests = aio.requests(self.address)
        opening = asyncio.create_task(aio.send_message_to(self.address, "open", PATIENCE))
        (await requests.__anext__()).reply("opened")
        self.assertEqual(await opening, "opened")
        waiting = [await self.arrived(requests.__anext__()) for _ in range(2)]
        calls = []
        for number in range(2):
            calls.append(asyncio.create_task(aio.send_message_to(self.address, number, PATIENCE)))
            await asyncio.sleep(0)
            waiting[number][1]()
        (first, _), (other, _) = waiting
        first.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await first
        for number, request in enumerate((await other, await requests.__anext__())):
            self.assertEqual(request.message, number)
            request.reply(number + 10)
        self.assertEqual(await asyncio.gather(*calls), [10, 11])

    async def test_a_message_that_arrived_before_the_task_was_cancelled(self):
        task, arrives = await self.arrived(aio.wait_for_message_from(self.address))
        first = asyncio.create_task(aio.send_message_to(self.address, "first", PATIENCE))
        await asyncio.sleep(0)
        arrives()
        second = asyncio.create_task(aio.send_message_to(self.address, "second", PATIENCE))
        task.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await task
        for expected in ("first", "second"):
            message = await aio.wait_for_message_from(self.address, PATIENCE)
            self.assertEqual(message, expected)
            await aio.send_reply_to(self.address, message + "!")
        self.assertEqual(await asyncio.gather(first, second), ["first!", "second!"])

    async def test_requests_go_on_after_a_wait_was_cancelled(self):
        requests = aio.requests(self.address)
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(requests.__anext__(), 0.01)
        call = asyncio.create_task(aio.send_message_to(self.address, 1, PATIENCE))
        (await asyncio.wait_for(requests.__anext__(), PATIENCE)).reply(2)
        self.assertEqual(await call, 2)

    async def test_a_topic_that_is_polled_loses_nothing(self):
        total = 400
        async with aio.listen(self.address) as news:

            def publish():
                for number in range(total):
                    meshzero.send_news_to(self.address, "n", number)
                    time.sleep(0.005)

            publishing = threading.Thread(target=publish)
            publishing.start()
            heard = []
            while len(heard) + news.missed < total:
                with contextlib.suppress(asyncio.TimeoutError):
                    heard.append((await asyncio.wait_for(news.__anext__(), 0.005))[1])
            publishing.join()
        self.assertEqual(heard, list(range(total)))

    def test_a_loop_that_is_closed_gives_back_what_came(self):
        address = meshzero.advertise(unique("closed loop"))
        done = []

        async def begin(news):
            await news
            with mock.patch.object(_task, "run", heeding(done)):
                task = asyncio.ensure_future(news.__anext__())
                await asyncio.sleep(0)
            return task

        news = aio.listen(address)
        loop = asyncio.new_event_loop()
        # Nobody waits for this task any more.
        loop.set_exception_handler(lambda *_: None)
        task = loop.run_until_complete(begin(news))
        meshzero.send_news_to(address, "n", 1)
        busy_until(lambda: done)
        loop.close()
        del task
        gc.collect()

        async def take():
            return await asyncio.wait_for(news.__anext__(), PATIENCE)

        self.assertEqual(asyncio.run(take()), ("n", 1))
        news.close()


def heeding(done):
    """As `_task.run`, and notes when something has arrived, before the loop has heard of it."""

    async def run(later):
        return await real_run(Heeded(later, done))

    return run


real_run = _task.run


class Heeded:
    def __init__(self, later, done):
        self.later = later
        self.done = done

    def start(self, wake):
        def wake_and_note(*arguments):
            wake(*arguments)
            self.done.append(True)

        self.later.start(wake_and_note)

    def take(self):
        return self.later.take()

    def cancel(self):
        self.later.cancel()


class UsualLines(unittest.IsolatedAsyncioTestCase):
    """What programs write, on every version of Python."""

    async def test_a_message_is_waited_for_so_long_and_replied_to(self):
        address = await aio.advertise(unique("usual"))
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.wait_for_message_from(address), 0.01)
        call = asyncio.create_task(aio.send_message_to(address, "hello", PATIENCE))
        message = await asyncio.wait_for(aio.wait_for_message_from(address), PATIENCE)
        await asyncio.wait_for(aio.send_reply_to(address, message + "!"), PATIENCE)
        self.assertEqual(await call, "hello!")

    async def test_several_messages_to_one_address_are_waited_for_at_once(self):
        address = await aio.advertise(unique("several"))
        for _ in range(3):
            first = asyncio.create_task(aio.send_message_to(address, 1, PATIENCE))
            both = asyncio.gather(aio.wait_for_message_from(address), aio.wait_for_message_from(address))
            second = asyncio.create_task(aio.send_message_to(address, 2, PATIENCE))
            messages = await both
            self.assertEqual(sorted(messages), [1, 2])
            for message in messages:
                await aio.send_reply_to(address, "reply to %s" % message)
            self.assertEqual(await asyncio.gather(first, second), ["reply to 1", "reply to 2"])

    async def test_they_take_what_comes_in_the_order_in_which_they_were_called(self):
        address = await aio.advertise(unique("in turn"))
        with mock.patch.object(_meshzero, "next_request_async", wraps=_meshzero.next_request_async) as begun:
            first, given_up, brief, last = (
                asyncio.ensure_future(wait)
                for wait in (
                    aio.wait_for_message_from(address),
                    aio.wait_for_message_from(address),
                    aio.wait_for_message_from(address, 0.01),
                    aio.wait_for_message_from(address),
                )
            )
            self.assertIsNone(await brief)
            given_up.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await given_up
            self.assertEqual(begun.call_count, 1)
            calls = [asyncio.create_task(aio.send_message_to(address, number, PATIENCE)) for number in (1, 2)]
            self.assertEqual(sorted(await asyncio.gather(first, last)), [1, 2])
            self.assertEqual(begun.call_count, 2)
        for message in (first.result(), last.result()):
            await aio.send_reply_to(address, message)
        self.assertEqual(await asyncio.gather(*calls), [1, 2])
        # A task that lives for long keeps nothing of the addresses that it waited at.
        self.assertEqual(_task.require(None).last, {})

    async def test_a_wait_leaves_the_message_before_without_a_reply(self):
        address = await aio.advertise(unique("left"))
        first = asyncio.create_task(aio.send_message_to(address, 1, PATIENCE))
        self.assertEqual(await aio.wait_for_message_from(address, PATIENCE), 1)
        second = asyncio.create_task(aio.send_message_to(address, 2, PATIENCE))
        self.assertEqual(await aio.wait_for_message_from(address, PATIENCE), 2)
        await aio.send_reply_to(address, "ok")
        with self.assertRaises(meshzero.Refused) as caught:
            await first
        self.assertEqual(caught.exception.reason, "unanswered")
        self.assertEqual(await second, "ok")

    async def test_a_host_is_as_good_as_its_address(self):
        address = await aio.advertise(unique("host"), "127.0.0.1")
        host = address.replace("127.0.0.1", "localhost")
        call = asyncio.create_task(aio.send_message_to(host, 1, PATIENCE))
        self.assertEqual(await aio.wait_for_message_from(host, PATIENCE), 1)
        await aio.send_reply_to(address, 2)
        self.assertEqual(await call, 2)
        self.assertEqual(await aio.wait_for_news_from([host], "n", 0.01), (None, None))
        await aio.send_news_to(host, "n", 3)
        self.assertEqual(await aio.wait_for_news_from([address], "n", PATIENCE), ("n", 3))
        async with aio.listen(host) as news:
            await aio.send_news_to(address, "n", 4)
            self.assertEqual(await news.__anext__(), ("n", 4))
        call = asyncio.create_task(aio.send_message_to(host, 5, PATIENCE))
        (await aio.requests(host).__anext__()).reply(6)
        self.assertEqual(await call, 6)

    async def test_hosts_are_looked_up_on_a_thread_of_its_own(self):
        address = await aio.advertise(unique("host"), "127.0.0.1")
        host = address.replace("127.0.0.1", "localhost")
        verbs = [
            lambda: aio.send_message_to(host, 1, 0.01),
            lambda: aio.wait_for_message_from(host, 0.01),
            lambda: aio.send_reply_to(host),
            lambda: aio.wait_for_news_from(host, "", 0.01),
            lambda: aio.send_news_to(host, "n"),
            lambda: aio.listen(host),
            lambda: aio.listen(host, wait_for_s=0.01).__anext__(),
        ]
        for number, verb in enumerate(verbs):
            with mock.patch.object(_meshzero, "look_up_async", wraps=_meshzero.look_up_async) as look_up:
                with self.subTest(verb=number), contextlib.suppress(meshzero.NetworkZeroError, StopAsyncIteration):
                    await verb()
                look_up.assert_called_once_with(host)
        news = aio.listen(host)
        news.close()
        with self.assertRaises(StopAsyncIteration):
            await news.__anext__()

    async def test_news_is_polled(self):
        address = await aio.advertise(unique("polled"))
        with self.assertRaises(asyncio.TimeoutError):
            await asyncio.wait_for(aio.wait_for_news_from(address, "n"), 1)
        for number in range(3):
            await aio.send_news_to(address, "n", number)
        for number in range(3):
            self.assertEqual(await asyncio.wait_for(aio.wait_for_news_from(address, "n"), PATIENCE), ("n", number))

    async def test_several_are_waited_for_at_once(self):
        addresses = [await aio.advertise(unique("both")) for _ in range(2)]
        calls = [asyncio.create_task(aio.send_message_to(address, number, PATIENCE)) for number, address in enumerate(addresses)]
        messages = await asyncio.gather(*(aio.wait_for_message_from(address, PATIENCE) for address in addresses))
        self.assertEqual(messages, [0, 1])
        for address in addresses:
            await aio.send_reply_to(address, "ok")
        self.assertEqual(await asyncio.gather(*calls), ["ok", "ok"])

    def test_a_verb_is_run_by_itself(self):
        address = meshzero.advertise(unique("alone"))
        self.assertIsNone(asyncio.run(aio.wait_for_message_from(address, 0)))
        self.assertEqual(asyncio.run(aio.wait_for_news_from(address, "", 0)), (None, None))


class Listening(unittest.IsolatedAsyncioTestCase):
    async def test_it_has_subscribed_once_it_is_awaited_or_entered(self):
        address = await aio.advertise(unique("listened"))
        for _ in range(10):
            news = await aio.listen(address)
            await aio.send_news_to(address, "n", 1)
            self.assertEqual(await news.__anext__(), ("n", 1))
            news.close()
            async with aio.listen(address) as entered:
                await aio.send_news_to(address, "n", 2)
                self.assertEqual(await entered.__anext__(), ("n", 2))

    async def test_iterating_subscribes_first(self):
        address = await aio.advertise(unique("iterated"))
        news = aio.listen(address)
        with mock.patch.object(_task, "run", mock.AsyncMock(side_effect=real_run)) as run:
            step = asyncio.create_task(news.__anext__())
            # The second wait begins when the subscription stands.
            await until(lambda: run.call_count == 2)
            await aio.send_news_to(address, "n", 1)
            self.assertEqual(await step, ("n", 1))
        news.close()

    async def test_closing_ends_every_wait(self):
        address = await aio.advertise(unique("closing"))
        async with aio.listen(address) as news:
            heard = []
            waiting = [asyncio.create_task(hear(news, heard)) for _ in range(3)]
            await aio.send_news_to(address, "n", 1)
            while not heard:
                await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        self.assertEqual(heard, [("n", 1)])
        with self.assertRaises(StopAsyncIteration):
            await news.__anext__()

    async def test_an_address_that_is_closed_ends_its_waits(self):
        name = unique("closing")
        address = await aio.advertise(name)
        with mock.patch.object(_task, "run", mock.AsyncMock(side_effect=real_run)) as run:
            requests = asyncio.create_task(all_of(aio.requests(address)))
            first, brief, *others = (
                asyncio.ensure_future(aio.wait_for_message_from(address, wait))
                for wait in (meshzero.FOREVER, 0.01, meshzero.FOREVER, PATIENCE)
            )
            # The first of the requests takes what is there already.
            await until(lambda: run.call_count == 3 and run.await_count == 3)
        self.assertIsNone(await brief)
        await aio.unadvertise(name)
        self.assertEqual(await requests, [])
        ends = await asyncio.wait_for(asyncio.gather(first, *others, return_exceptions=True), PATIENCE)
        self.assertEqual([type(end) for end in ends], [meshzero.Closed] * 3)
        # Whoever waits after that listens there again.
        self.assertIsNone(await aio.wait_for_message_from(address, 0))


async def until(is_so):
    """Lets others run until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError("it does not happen")
        await asyncio.sleep(0)


async def hear(news, heard):
    async for item in news:
        heard.append(item)


async def all_of(iterator):
    return [item async for item in iterator]
