// Package endpoint compiles annotated gRPC methods into operations of the REST API, and binds request
// messages to HTTP requests.
//
// An Endpoint is one operation, with the unary method for it. A Stream is a method that reads the
// pages of an operation; bound to a request it is a Walk.
//
// # Guarantees
//
//   - Load finds whatever can be wrong with an annotation, at start-up and all at once. Bind fails for
//     a caller's arguments only, with an *ArgumentError that names each field and the rule it breaks.
//   - Every field of a request goes to exactly one part of the HTTP request, in one form: the path,
//     the query or the JSON body. A path keeps the shape of its template whatever the values are: a
//     value never adds, removes or climbs a segment.
//   - Samsara binds a cursor to the very parameters that it was made with. So every query of an
//     operation that pages has one form only, by whichever method and in whichever process it is
//     bound: the values of a list are sorted, none twice, and the cursor comes last.
//   - Endpoint, Stream and Walk are immutable and safe for concurrent use. The messages that are bound
//     stay the caller's; Stream.Bind changes its message.
//
// # Invariants
//
// What the package could not send faithfully it refuses at Load: lists in a path, messages in a query,
// operations that stream. There is no code for a single operation: a change here is a change for all
// of them, and the goldens of package service show it. Retired fields of one wire name are one
// parameter, see [transcode.Lines].
//
// The package knows nothing of transport and quota.
//
// # Files
//
// In the order in which they are to be read: endpoint, load, compile, template, bind, wire, escape, find,
// load_stream, stream, page.
package endpoint
