// Package micro has the Go benchmarks of what a request costs beyond its transport. It holds
// tests alone.
//
//	BenchmarkDecode/<size>/<order>/<by>   JSON to wire bytes
//	BenchmarkEncode/<size>/<by>           wire bytes of a request to JSON
//	BenchmarkMethods/<count>              a call, by how many methods are served
//
// Sizes are bytes of JSON. Translation is by the gateway, by protojson (with proto.Marshal), or
// by nobody: valid is encoding/json.Valid over the same bytes. Requests are translated by the gateway's encoder over
// a message too, which is the way of requests that it does not take from the wire. protojson is with proto.Unmarshal.
package micro
