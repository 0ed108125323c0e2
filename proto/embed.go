// Package proto has what the API surface is and what it was made from, as cmd/protogen wrote it beside
// the proto files.
package proto

import _ "embed" // for the file

// Surface is SURFACE.json. Nobody must change it.
//
//go:embed SURFACE.json
var Surface []byte
