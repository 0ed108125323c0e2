// Command protoc-gen-registry is a protoc plugin that writes what belongs to all generated packages
// together. It runs once over all files (buf: strategy all).
//
//   - gen.go, a package that imports every generated package, so that a program links all descriptors by
//     one import.
//   - comments.binpb.gz beside it, the comments, which generated descriptors do not have.
//   - surface/surface.go, a package that imports nothing and says which surface this is, from the file
//     that the plugin's option surface names.
//
// # Guarantees
//
// The same files give the same bytes.
package main
