"""One address for all collectors, as a Service that follows the leader has. What goes through is TLS, and
none of its business. It cuts when it is told to."""

import asyncio
import threading


class End(asyncio.Protocol):
    """One end of a connection; `other` is where its bytes go."""

    def __init__(self, other=None, gone=None):
        self.other, self.gone, self.transport, self.early = other, gone, None, []

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.other:
            self.other.transport.write(data)
        else:
            self.early.append(data)

    def connection_lost(self, exc):
        if self.other:
            self.other.transport.close()
        if self.gone:
            self.gone(self)

    def join(self, other):
        self.other = other
        for data in self.early:
            other.transport.write(data)
        if self.transport.is_closing():
            other.transport.close()


class Agent(End):
    """Which asks for a collector when it has connected."""

    def __init__(self, proxy):
        super().__init__(gone=proxy.open.discard)
        self.proxy = proxy

    def connection_made(self, transport):
        super().connection_made(transport)
        self.proxy.open.add(self)
        self.dialling = self.proxy.loop.create_task(self.dial())

    async def dial(self):
        try:
            _, there = await self.proxy.loop.create_connection(lambda: End(self), "127.0.0.1",
                                                               self.proxy.target)
            self.join(there)
        except OSError:     # nobody is there
            self.transport.abort()


class Proxy:
    def __init__(self, random, target):
        """`target`: a port on 127.0.0.1; may be changed at any time."""
        self.random, self.target = random, target
        self.open = set()       # agents
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.server = self.call(self.listen())
        self.port = self.server.sockets[0].getsockname()[1]

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(30)

    async def listen(self):
        return await self.loop.create_server(lambda: Agent(self), "127.0.0.1", 0)

    async def abort(self, n):
        cut = self.random.sample(sorted(self.open, key=id), min(n, len(self.open)))
        for agent in cut:
            agent.transport.abort()
        return len(cut)

    def cut(self, n):
        """Resets as many connections; how many they were."""
        return self.call(self.abort(n))

    async def end(self):
        self.server.close()
        await self.abort(len(self.open))

    def close(self):
        self.call(self.end())
        self.loop.call_soon_threadsafe(self.loop.stop)
