#!/usr/bin/env bash
# kin-openapi gives a schema that has anything beside its $ref (OpenAPI 3.1) as a copy of the component, and
# what stands beside the $ref as one more member of the copy's allOf.
#
# Guess: it is ignored, as OpenAPI 3.0 wants it, or it replaces what the component says, or it stands where
#   the $ref stood, with the component in its allOf.
# What happens: the Value of a SchemaRef with Ref set is no longer the component's own, so that who knows
#   components by their pointer meets a stranger, and its own members say what the component says: the type
#   without "null" and no minLength. Who reads an allOf of one member as that member reads the other half
#   alone, and loses the component's maxLength. Nothing public tells such a member from one that the component
#   has; that there is one more than there is the only mark.
# Versions: github.com/getkin/kin-openapi v0.152.0, go1.26.8 linux/amd64. Seen 2026-11-30:
#
#   plain  ref "#/components/schemas/Code", the component itself: true, type [string], minLength 0, maxLength 8, allOf 0
#   beside ref "#/components/schemas/Code", the component itself: false, type [string], minLength 0, maxLength 8, allOf 1: ref "", type [string null], minLength 2
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export GOWORK=off

cat >main.go <<'GO'
// Reads a document of OpenAPI 3.1 in which bounds stand beside a $ref.
package main

import (
	"fmt"
	"os"

	"github.com/getkin/kin-openapi/openapi3"
)

const want = `plain  ref "#/components/schemas/Code", the component itself: true, type [string], minLength 0, maxLength 8, allOf 0
beside ref "#/components/schemas/Code", the component itself: false, type [string], minLength 0, maxLength 8, allOf 1: ref "", type [string null], minLength 2
`

const document = `
openapi: 3.1.0
info: {title: finding, version: "1"}
paths: {}
components:
  schemas:
    Code: {type: string, maxLength: 8}
    Thing:
      type: object
      properties:
        plain: {$ref: "#/components/schemas/Code"}
        beside: {$ref: "#/components/schemas/Code", type: [string, "null"], minLength: 2}
`

func main() {
	doc, err := openapi3.NewLoader().LoadFromData([]byte(document))
	if err != nil {
		fmt.Fprintln(os.Stderr, "cannot run:", err)
		os.Exit(2)
	}
	shared := doc.Components.Schemas["Code"].Value
	got := ""
	for _, name := range []string{"plain", "beside"} {
		p := doc.Components.Schemas["Thing"].Value.Properties[name]
		line := fmt.Sprintf("%-6s ref %q, the component itself: %t, type %v, minLength %d, maxLength %d, allOf %d",
			name, p.Ref, p.Value == shared, *p.Value.Type, p.Value.MinLength, *p.Value.MaxLength, len(p.Value.AllOf))
		for _, member := range p.Value.AllOf {
			line += fmt.Sprintf(": ref %q, type %v, minLength %d", member.Ref, *member.Value.Type, member.Value.MinLength)
		}
		fmt.Println(line)
		got += line + "\n"
	}
	if got != want {
		fmt.Println("CHANGED, this was expected:\n" + want)
		os.Exit(1)
	}
}
GO
if ! { go mod init example.test/finding && go get github.com/getkin/kin-openapi/openapi3@v0.152.0 && go build -o finding .; } >log 2>&1; then
	cat log >&2
	exit 2
fi
./finding
