// Package protofiles gives out the API surface as .proto files and as an image, from the descriptors that
// are linked, for those who generate clients and have the binary, not the repository.
//
// Guarantees: what is given out is what is served. It has the comments. It has all that it imports, and
// google/rpc/error_details.proto and status.proto, which the details of errors are made of. It is the same
// bytes each time. Files are written within the folder named, and nothing that is there is written over.
//
// All functions may be called concurrently; for one folder Write must not be.
package protofiles
