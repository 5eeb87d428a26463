"""HTTP mechanics: sockets, bytes and limits; it knows nothing of services.

An application is three callables (`application.Application`). A `server.Server` listens at one
address and calls `application.on_request(exchange)` in the hub when the head of a request is
complete. That call must not block: it looks at `exchange.method`, `exchange.path` and
`exchange.headers`, may lower or raise `exchange.max_body`, and starts a green thread, which reads
the body (`exchange.read`, `exchange.stream`) and answers: either

- whole, `exchange.respond(status, headers, body)`, which never blocks (the hub sends what the
  socket does not take at once, so that a slow client holds no worker), or
- in parts, `exchange.begin(status, headers, length)`, `exchange.write(chunk)` ...,
  `exchange.finish()`; `write` blocks while the client is slow. `exchange.send_file` sends a part
  of a file in flat memory between `begin` and `finish`.

`respond` may be called from `on_request` itself: a 404, a 503, a redirect need no green thread.
What `on_request` raises is logged and answered with 500. An exchange whose green thread ends
without an answer is the application's to settle: `exchange.respond(500, ...)` if not
`exchange.is_responded`, else `exchange.abort()`, which cuts the connection so that the client
sees that the answer is not whole.

What goes wrong while reading or writing is raised as an `errors.Refusal`, which carries a status
(413, 408, 400; 499 for a client that is gone). `exchange.on_gone`, if set, is called once, in the
hub, when the client vanishes before the answer is complete. A client that has only ended its own
side is not gone: it gets its answer; but one that does so in the middle of an answer of unknown
length, a feed, is.

Malformed requests never reach `on_request`. They are answered with what
`application.on_error(refusal)` returns, `(status, headers, body)`; by default problem+json. Only
a body may turn out to be malformed later: then `read` raises a Refusal.
`application.on_done(exchange, status, bytes_sent, seconds)` is called after each answer: cheap
enough for an access log.

The header fields `Content-Length`, `Transfer-Encoding`, `Connection`, `Keep-Alive` and `Date` of an
answer are the server's: what an application gives for them is left out, except that
`Connection: close` ends the connection after the answer, and that `Content-Length` in the answer
to HEAD, and in a 304, stays. A header with CR, LF or NUL raises `errors.InvalidHeader`, and nothing
is sent. The body of an answer to HEAD is left out.

From the socket to the application: `server` accepts, `sockets` and `tls` carry bytes, `parsing` and
`heads` make requests of them, `connection` decides whose turn it is, `exchange` is what the
application sees. `memory` is a connection without a socket: for tests, through the same code.
"""
