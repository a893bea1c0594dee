"""httpx for services without TLS. By itself it reads all certificates of the machine for each new client, and for each
call without one: more work than most tests have besides."""

from __future__ import annotations

from functools import partial

import httpx

Client = partial(httpx.Client, verify=False)
get = partial(httpx.get, verify=False)
post = partial(httpx.post, verify=False)
request = partial(httpx.request, verify=False)
