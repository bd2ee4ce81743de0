"""A process that speaks as an API server and as a Eureka node do, so that the other side alone is measured.

It lists and watches generated pods (`/api/v1/pods`), and answers with generated registrations (`/eureka/apps`). It is a
stand-in: what a real server itself would cost is not seen.
"""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web

from tests.bench.objects import Pods, registry


def application(pods: int, going: int, instances: int) -> web.Application:
    """So many pods, of which the first ones go as soon as they are watched; so many registrations."""
    made = Pods()
    held = registry(instances)

    async def list_or_watch(request: web.Request) -> web.StreamResponse:
        if request.query.get("watch"):
            return await watch(request)
        begin, size = int(request.query.get("continue", "0")), int(request.query["limit"])
        end = min(begin + size, pods)
        return web.Response(body=made.page(range(begin, end), str(end) if end < pods else ""))

    async def watch(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(going):
            await response.write(b'{"type":"MODIFIED","object":' + made.one(number, going=True) + b"}\n")
        await asyncio.sleep(float(request.query["timeoutSeconds"]))
        return response

    async def apps(_: web.Request) -> web.Response:
        return web.Response(body=held, content_type="application/json")

    served = web.Application()
    served.add_routes([web.get("/api/v1/pods", list_or_watch), web.get("/{node}/eureka/apps", apps)])
    return served


async def main(pods: int, going: int, instances: int) -> None:
    """Serve until the end of standard input, on a free port that is printed."""
    runner = web.AppRunner(application(pods, going, instances), access_log=None, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:])))
