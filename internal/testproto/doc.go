// Package testproto compiles protobuf source text for tests, so that a test shows the messages it is
// about.
//
// A source may import the gateway's annotations and the well-known types. Both come from what is linked
// into the binary, so that proto.GetExtension finds the gateway's options on what is compiled. Nothing is
// read from disk and nothing is registered: two tests may compile files and messages of the same names.
//
// It is for tests alone.
package testproto
