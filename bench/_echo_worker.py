"""The baseline: a bare aio-pika worker that answers every message with its body, then acks it. No database.

One callback per message, prefetch 200, publish with confirm, then ack: as its documentation shows it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import ssl

import aio_pika


async def main() -> None:
    """Serve until SIGTERM."""
    context = ssl.create_default_context(cafile=os.environ["CA_CERT"])
    context.load_cert_chain(os.environ["CLIENT_CERT"], os.environ["CLIENT_KEY"])
    url = f"amqps://{os.environ['MQ_HOST']}:{os.environ['MQ_PORT']}/?auth=external"
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with await aio_pika.connect(url, ssl_context=context) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=200)
        queue = await channel.get_queue(os.environ["BENCH_QUEUE"])

        async def answer(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            reply = aio_pika.Message(
                message.body,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                message_id=message.message_id,
                correlation_id=message.correlation_id,
            )
            await channel.default_exchange.publish(reply, message.reply_to or "")
            await message.ack()

        async def one_by_one() -> None:
            async with queue.iterator() as messages:
                async for message in messages:
                    await answer(message)

        if os.environ.get("BENCH_ECHO") == "iterator":
            task = asyncio.create_task(one_by_one())
            await stop.wait()
            task.cancel()
            return
        await queue.consume(answer)
        print("echo consumes", flush=True)
        await stop.wait()


if __name__ == "__main__":
    if os.environ.get("BENCH_LOOP") == "uvloop":
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
