"""Static files by WhiteNoise, without taking a thread for whatever is none.

WhiteNoise's own middleware is synchronous: under ASGI each request would hold a thread from here to its
end, also one that only waits for an answer.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):  # type: ignore[misc]  # whitenoise ships no types
    async_capable = True
    sync_capable = False

    def __init__(self, get_response: Any) -> None:
        super().__init__(get_response)
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if self.autorefresh:
            found = await sync_to_async(self.find_file)(request.path_info)
        else:
            found = self.files.get(request.path_info)
        if found is None:
            response: HttpResponseBase = await self.get_response(request)
        else:
            response = await sync_to_async(self.serve)(found, request)
        return response
