"""What the page about HTTP says besides what it is generated from."""

HTTP_INTRODUCTION = """# HTTP

All routes of a server that has everything switched on: `transport: both`, all carriers, room services with `dialin`. A
server's own document has only what it serves: read and try it at `/swagger/`, or fetch it, in OpenAPI 2.0:

| address | paths |
| --- | --- |
| `/swagger/doc.json` | those below `/api/v1`; the others are in `x-unversioned-paths` |
| `/swagger/unversioned.json` | those without a version, as a document of their own |

[openapi.json](../openapi.json) is the first of them for the server described here, with the schemas of bodies and
answers, for generators of clients.

Answers in JSON are `{"data": …, "meta": {"requestId": …}}` or `{"error": …}`, unless the document says otherwise. The
request's id is in the header `X-Request-ID` as well; a client may choose it. "key": the route needs `X-API-Key: KEY` or
`Authorization: Bearer KEY` where `server_api_key` is set; websockets take `?api_key=KEY`, too.

```sh
curl -s http://localhost:3042/api/v1/start -H "X-API-Key: $KEY" -d '{"transport": "websocket"}'
```

Besides what the tables say, any route may answer 500, and any that takes a body 408. HEAD is answered wherever GET is.
Where browsers may call with a key, OPTIONS answers their preflights. The files of pages (`/console/…`, `/client/…`) are
not listed.
"""

HTTP_ERRORS = """```json
{"error": {"code": "VALIDATION_ERROR", "message": "Missing or empty offer", "requestId": "0f5d7a5e-…",
  "details": [{"field": "offer", "message": "required"}]}}
```

`details` come with validation errors. A path that does not exist is `NOT_FOUND`; a method that a path does not have is
`BAD_REQUEST` with status 405 and `Allow`; a path for websockets that is asked for something else, `BAD_REQUEST` with 426;
a body that does not arrive, `BAD_REQUEST` with 408. 503 brings `Retry-After` where it is known. Some codes are reserved.

"""
