"""Publish one command to the adapter and read its reply: ``python publish_and_read.py ACTION COMMAND.json``.

Reads MQ_HOST, MQ_PORT, CA_CERT, CLIENT_CERT and CLIENT_KEY (file paths) from the environment. Needs aio-pika.
Prints the reply; exit code 0 for a result, 1 for an error, 3 when no reply came in time.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlencode
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractQueue
from aio_pika.exceptions import AMQPError

REPLIES = "example-system.replies"  # durable and ours: replies wait in it while this program is not running
WAIT = 60


def address() -> str:
    """Log in by certificate (SASL EXTERNAL): the user is the certificate's common name."""
    query = {
        "auth": "EXTERNAL",
        "cafile": os.environ["CA_CERT"],
        "certfile": os.environ["CLIENT_CERT"],
        "keyfile": os.environ["CLIENT_KEY"],
    }
    return f"amqps://{os.environ['MQ_HOST']}:{os.environ.get('MQ_PORT', '5671')}/?{urlencode(query)}"


async def publish(action: str, body: bytes, message_id: str) -> None:
    """Return when RabbitMQ has the command. The same message_id and bytes again are the same command: just repeat."""
    for attempt in range(1, 6):
        try:
            async with await aio_pika.connect(address(), timeout=10) as connection:
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                message = aio_pika.Message(
                    body,
                    content_type="application/json",
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                    message_id=message_id,
                    correlation_id=message_id,
                    reply_to=REPLIES,
                )
                await channel.default_exchange.publish(message, routing_key=action, mandatory=True, timeout=10)
                return
        except (AMQPError, OSError, TimeoutError):
            if attempt == 5:
                raise
            await asyncio.sleep(attempt)


async def read(queue: AbstractQueue, message_id: str) -> dict:
    """Return the reply to one command. One may come twice with the same message_id: a real system remembers them."""
    async with queue.iterator() as replies:
        async for reply in replies:
            if reply.correlation_id != message_id:
                # Of another command, perhaps of an earlier run: hand it to whoever asked, then acknowledge it.
                await reply.ack()
                continue
            body = json.loads(reply.body)
            late = reply.headers.get("x-adapter-late")  # it follows an earlier ADAPTER-EXPIRED or ADAPTER-UNCERTAIN
            if late:
                print("late:", late, file=sys.stderr)
            await reply.ack()  # only now: what is not acknowledged comes again
            return body
    raise EOFError("the queue of replies has ended")


async def main(action: str, command: bytes) -> int:
    """Publish, read, print."""
    message_id = str(uuid4())  # in a real system: stored with the command before it is published
    async with await aio_pika.connect(address(), timeout=10) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=20)
        queue = await channel.declare_queue(REPLIES, durable=True, arguments={"x-queue-type": "quorum"})
        await publish(action, command, message_id)
        try:
            body = await asyncio.wait_for(read(queue, message_id), WAIT)
        except TimeoutError:
            print("no reply yet; it stays in the queue and comes with the next run", file=sys.stderr)
            return 3
    print(json.dumps(body, ensure_ascii=False, indent=2))
    return 0 if "result" in body else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], Path(sys.argv[2]).read_bytes())))
