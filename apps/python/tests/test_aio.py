"""The waits for asyncio."""

import asyncio
import unittest

import meshzero
from meshzero import aio

from .support import PATIENCE, unique


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def test_a_message_and_its_reply(self):
        address = aio.advertise(unique("echo"))

        async def serve():
            message = await aio.wait_for_message_from(address)
            await aio.send_reply_to(address, message + "!")

        serving = asyncio.create_task(serve())
        self.assertEqual(await aio.send_message_to(address, "hello", PATIENCE), "hello!")
        await serving

    async def test_tasks_share_a_thread_and_not_their_messages(self):
        address = aio.advertise(unique("shared"))
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
        address = aio.advertise(unique("many"))

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
        address = aio.advertise(unique("idle"))
        waiting = asyncio.create_task(aio.wait_for_message_from(address))
        for _ in range(1000):
            await asyncio.sleep(0)
        self.assertFalse(waiting.done())
        waiting.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await waiting

    async def test_what_is_cancelled_loses_no_message(self):
        address = aio.advertise(unique("cancelled"))
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
        address = aio.advertise(unique("unwanted"))
        call = asyncio.create_task(aio.send_message_to(address, "hello"))
        async for request in aio.requests(address):
            self.assertTrue(request.is_wanted)
            call.cancel()
            while request.is_wanted:
                await asyncio.sleep(0)
            break

    async def test_errors_are_those_of_the_verbs(self):
        address = aio.advertise(unique("late"))
        with self.assertRaises(meshzero.SocketTimedOutError):
            await aio.send_message_to(address, None, 0.05)
        self.assertIsNone(await aio.wait_for_message_from(address, 0.01))
        self.assertIsNone(await aio.discover(unique("nobody"), 0))
        with self.assertRaises(meshzero.NetworkZeroError):
            await aio.send_reply_to(address, "hello")

    async def test_news(self):
        address = aio.advertise(unique("news"))
        self.assertEqual(await aio.wait_for_news_from(address, "n", 0.01), (None, None))
        async with aio.listen(address, "n") as news:
            hearing = asyncio.create_task(news.__anext__())
            number = 0
            while not hearing.done():
                # Until the subscription stands, nobody hears.
                aio.send_news_to(address, "n", number)
                number += 1
                await asyncio.sleep(0)
            self.assertEqual((await hearing)[0], "n")
        self.assertEqual((await aio.wait_for_news_from(address, "n", PATIENCE)), ("n", 0))

    async def test_names(self):
        name = unique("named")
        address = aio.advertise(name)
        self.assertEqual(await aio.discover(name), address)
        self.assertIn([name, address], await aio.discover_all())
