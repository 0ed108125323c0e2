// Package proto has what the API surface was corrected by before it was made from Samsara's document. What the
// surface is, package surface of gen has.
package proto

import _ "embed" // for the file

// Corrections is corrections.yaml. Nobody must change it.
//
//go:embed corrections.yaml
var Corrections []byte
