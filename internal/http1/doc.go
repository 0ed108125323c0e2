// Package http1 is an HTTP/1.1 client for one server, in cleartext or over TLS, that runs a whole
// exchange on its caller's goroutine.
//
// net/http hands each request to one goroutine of its connection and each response back from another,
// which is most of what a small request costs. Here a connection has no goroutine of its own.
//
// # Guarantees
//
//   - What net/http guarantees: connections are used again, at any concurrency and after any response
//     that was read to its end; an exchange ends when its context does, also in the middle of a header
//     or body; a response that comes before the request's body is sent is read; headers are bounded.
//     Parsing is net/http's own, except that a status line must be of HTTP/1.
//   - A connection is quiet when a request is written to it. It is looked at before, and one that has
//     something to read, or has ended, is closed instead: what came early would be taken for the
//     response. A byte that comes between the look and the request cannot be told from a response,
//     because HTTP/1.1 numbers neither. A connection that the kernel knows nothing of is taken to have
//     nothing to read. What a Proxy's connection has to say is looked at too, also within TLS.
//   - A *NotSentError says that the server did not act on the request: nothing of it was written, or
//     the server said that it had not received it. A *BrokenError says that the status of a response
//     was read, and that its header ended or went wrong behind it: the status is the server's word.
//
// # Connections that the server gives up
//
// A server may give up an idle connection while a request is on its way. If it says so, by 408 with
// "Connection: close", it has not received the whole request (RFC 9110, section 15.5.9): its word is
// as good as that of 429 and 503. A request without side effects is then made again, once, on a new
// connection, and any other is a *NotSentError. If the connection just ends before the first byte of
// a response, a request without side effects is made again too, but whether the server acted on any
// other is not known (RFC 9112, section 9.3.1): that is no *NotSentError if even a byte of the request
// was written.
//
// # Invariants
//
// A connection has one owner at a time, the pool or an exchange, and needs no lock. pool.mu guards the
// idle connections, and nothing is read, written or closed under it. The one goroutine of an exchange
// is for the body of a request above 16 KiB; the exchange waits for its end. The body of a response
// is for one goroutine at a time. The package imports nothing of ours.
//
// It refuses other hosts than its server's, and bodies of unknown length. It does no trailers of
// requests, no Expect, no upgrades and no httptrace.
//
// # Files
//
// In the order in which they are to be read: transport, conn, pool, head, socket, socket_unix,
// socket_other, proxy.
package http1
