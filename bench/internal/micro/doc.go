// Package micro has the Go benchmarks of what a request costs beyond its transport. It holds
// tests alone.
//
//	BenchmarkDecode/<size>/<order>/<by>   JSON to wire bytes
//	BenchmarkEncode/<size>/<by>           a message to JSON
//	BenchmarkMethods/<count>              a call, by how many methods are served
//
// Sizes are bytes of JSON. Translation is by the gateway, by protojson (with proto.Marshal), or
// by nobody: valid is encoding/json.Valid over the same bytes.
package micro
