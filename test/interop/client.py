"""Drives the scenario of interop_test.go with autobahn-python. Prints "ok NAME" for each step and exits 0 when all of them passed."""
import asyncio
import os
import ssl
import sys

from autobahn.asyncio.wamp import ApplicationSession
from autobahn.asyncio.websocket import WampWebSocketClientFactory
from autobahn.wamp import auth
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import CallOptions, ComponentConfig, PublishOptions, RegisterOptions, SubscribeOptions

SETTINGS = {name: os.environ["INTEROP_" + name.upper()] for name in ("url", "realm", "authid", "secret", "serializer", "project", "app")}
SERIALIZERS = {"json": JsonSerializer, "msgpack": MsgPackSerializer, "cbor": CBORSerializer}
STEP_TIMEOUT = 10
FAILED = []


class Session(ApplicationSession):
    """Joins with WAMP-CRA and hands itself over when it has joined, or the reason why it has not."""

    def __init__(self, secret, joined):
        super().__init__(ComponentConfig(SETTINGS["realm"], {}))
        self.secret, self.joined = secret, joined

    def onConnect(self):
        self.join(SETTINGS["realm"], ["wampcra"], SETTINGS["authid"])

    def onChallenge(self, challenge):
        return auth.compute_wcs(self.secret.encode(), challenge.extra["challenge"].encode()).decode("ascii")

    def onJoin(self, details):
        self.joined.set_result(self)

    def onLeave(self, details):
        if not self.joined.done():
            self.joined.set_exception(RuntimeError(details.reason))
        self.disconnect()


async def open_session(secret):
    joined = asyncio.get_running_loop().create_future()
    factory = WampWebSocketClientFactory(lambda: Session(secret, joined), url=SETTINGS["url"], serializers=[SERIALIZERS[SETTINGS["serializer"]]()])
    context = ssl.create_default_context(cafile=os.environ["NODE_EXTRA_CA_CERTS"])
    await asyncio.get_running_loop().create_connection(factory, factory.host, factory.port, ssl=context, server_hostname=factory.host)
    return await asyncio.wait_for(joined, STEP_TIMEOUT)


async def check(name, step):
    try:
        await asyncio.wait_for(step, STEP_TIMEOUT)
        print("ok", name, flush=True)
    except Exception as error:  # every failure is reported and the next step goes on
        FAILED.append(name)
        print("FAILED", name, repr(error), flush=True)


async def wrong_secret():
    try:
        await open_session("wrong")
    except RuntimeError as error:
        assert "authentication_failed" in str(error), error
        return
    raise AssertionError("joined")


async def publish(one, two):
    event = asyncio.get_running_loop().create_future()
    await one.subscribe(lambda *args, **kwargs: event.set_result((args, kwargs)), "com.example.topic")
    await two.publish("com.example.topic", 1, "ö", [True, None], 2.5, n=7, options=PublishOptions(acknowledge=True))
    assert await event == ((1, "ö", [True, None], 2.5), {"n": 7}), event


async def prefix(one, two):
    event = asyncio.get_running_loop().create_future()
    await one.subscribe(lambda details: event.set_result(details.topic), "com.prefix.", options=SubscribeOptions(match="prefix", details_arg="details"))
    await two.publish("com.prefix.a.b", options=PublishOptions(acknowledge=True))
    assert await event == "com.prefix.a.b"


async def call(one, two):
    await one.register(lambda a, b, details: [a + b, details.caller_authid], "com.example.add", options=RegisterOptions(details_arg="details"))
    assert await two.call("com.example.add", 2, 3) == [5, SETTINGS["authid"]]


async def progressive(one, two):
    def count(n, details):
        for i in range(n):
            details.progress(i)
        return n

    await one.register(count, "com.example.count", options=RegisterOptions(details_arg="details"))
    progress = []
    assert await two.call("com.example.count", 3, options=CallOptions(on_progress=progress.append)) == 3
    assert progress == [0, 1, 2], progress


async def error(one, two):
    def fail():
        raise ApplicationError("com.example.error", "why", code=3)

    await one.register(fail, "com.example.fail")
    try:
        await two.call("com.example.fail")
    except ApplicationError as e:
        assert (e.error, e.args, e.kwargs) == ("com.example.error", ("why",), {"code": 3}), e
        return
    raise AssertionError("no error")


async def refused(two):
    for attempt, want in (
        (lambda: two.call("com.example.none"), "wamp.error.no_such_procedure"),
        (lambda: two.publish("wamp.session.on_join", options=PublishOptions(acknowledge=True)), "wamp.error.invalid_uri"),
    ):
        try:
            await attempt()
        except ApplicationError as e:
            assert e.error == want, e
        else:
            raise AssertionError("not refused: " + want)


async def row(two):
    topic = SETTINGS["project"] + "." + SETTINGS["app"] + ".metrics"
    await two.publish(topic, {"tsp": 1700000000000, "temperature": 20.5}, options=PublishOptions(acknowledge=True))


async def main():
    await check("a wrong secret is refused", wrong_secret())
    one, two = await open_session(SETTINGS["secret"]), await open_session(SETTINGS["secret"])
    await check("subscribe and publish", publish(one, two))
    await check("subscribe by prefix", prefix(one, two))
    await check("register and call", call(one, two))
    await check("progressive results", progressive(one, two))
    await check("an error reaches the caller", error(one, two))
    await check("an unknown procedure and the router's topics are refused", refused(two))
    await check("a row is published", row(two))
    one.leave()
    two.leave()


asyncio.run(main())
sys.exit(1 if FAILED else 0)
