// Command protogen writes the proto files of the gateway's API from Samsara's OpenAPI document.
//
// It reads a document and the proto tree of earlier runs, and writes one file for each package below
// samsara_gateway/ in that tree. Beside the proto files it writes SURFACE.json, which says what the
// surface is and what it was made from, and CHANGELOG.md, with a section for each version of the
// surface: see Facts in package surface. An operation that pages has a server-streaming twin beside its
// unary method, which reads all pages, and a feed has another one, which follows it.
//
//	protogen --spec FILE         bring the tree up to the document
//	protogen drift --spec FILE   say what that would change, and write nothing
//
// drift sorts what a document would change by what that means for deployed clients, and exits with a
// code for the greatest severity: see exitCode, and Severity in package surface.
//
// # Guarantees
//
//   - What the tree already says is for ever: every package, message, field, name, number and type
//     stays, so a client of any earlier tree keeps working. What the document adds is added, what it
//     lacks stays as deprecated.
//   - An operation is its operationId: it keeps its method whatever becomes of its path, tag and stage.
//   - The same document and tree give the same bytes. A second run over its own output changes nothing.
//   - It refuses, before it writes anything: an operation that it cannot express without loss (header
//     parameters, arrays joined by anything but commas, bodies that are not JSON, pages without one list
//     of records) and that leftout.yaml in the tree does not name; an entry there that leaves nothing
//     out; a correction that changes nothing, that another one undoes, or that nobody reads; files in
//     the tree that it would not have written; and, unless --accept names them, a field retyped and an
//     answer wrapped or bare.
//
// # Corrections
//
// The tree's corrections.yaml, which must be there, is an OpenAPI Overlay. It says where Samsara differs
// from its document, which is corrected before it is read. Of it protogen reads four extensions:
// x-rate-limit is the limit of an operation for each organization, such as "5 requests/sec"; x-feed:
// false is for what looks like a feed and is none, so that what followed it is removed from the tree;
// x-wrapped-in is the member that an array is in if an object arrives instead; x-other-name is another
// name under which answers may have a member.
//
// # Invariants
//
// It works in three stages, each with types of its own, and each knows only the ones before it: package
// document reads OpenAPI 3.0 and 3.1, model says what the API has to say, surface keeps the proto files.
// Nothing is fetched, and no time of day gets into the output.
//
// Read main and drift here, then overlay, internal/document, internal/words, internal/model and
// internal/surface. protoc-gen-registry is a plugin of buf for what is generated from the tree.
package main
