"""HTTP/1.1 for LM calls: one event loop thread, one keep-alive pool per host.

General clients cost 150 to 400 µs of CPU a call where parsing HTTP itself takes about 10, so the transport is an
`asyncio` protocol around `httptools` (llhttp) with a pool of our own. It sends a request whose bytes are nearly all
made beforehand (`Endpoint`) and gives the answer back whole (`Transport.send`) or in pieces (`Transport.stream`).
It knows nothing of LMs but their errors. `asyncio`, `ssl` and `httptools` load with the first request.
"""

from telic._http._message import Endpoint as Endpoint
from telic._http._message import HttpRequest as HttpRequest
from telic._http._message import HttpResponse as HttpResponse
from telic._http._portal import Portal as Portal
from telic._http._portal import portal as portal
from telic._http._sse import ServerSentEvents as ServerSentEvents
from telic._http._transport import HttpStream as HttpStream
from telic._http._transport import Transport as Transport
from telic._http._transport import shared_transport as shared_transport
