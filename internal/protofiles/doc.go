// Package protofiles returns and writes the API surface as .proto files and as an image, from the linked
// descriptors. It is for generating clients with the binary alone, without the repository.
//
// # Guarantees
//
// The files are those that the gateway serves, with their comments. They have all that they import, and
// google/rpc/error_details.proto and status.proto, which the details of errors are made of. They are the
// same bytes each time. Write writes only within its folder, and overwrites nothing.
//
// All functions are safe for concurrent use, except Write for one folder.
package protofiles
