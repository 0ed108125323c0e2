package model

import (
	"testing"

	"samsara.internal/gateway/cmd/protogen/internal/document"
)

func TestScalar_widest(t *testing.T) {
	t.Parallel()
	of := func(types ...string) *document.Schema { return &document.Schema{Types: types} }
	one := func(members ...*document.Schema) *document.Schema { return &document.Schema{OneOf: members} }
	for _, test := range []struct {
		name   string
		schema *document.Schema
		want   Kind
	}{
		{"one type", of("integer"), KindInteger},
		{"no type", of(), KindAny},
		{"null alone", of("null"), KindAny},
		{"two kinds of number", of("integer", "number"), KindNumber},
		{"a number or text", one(of("integer"), of("string")), KindString},
		{"a bool or text", one(of("boolean"), of("string")), KindString},
		{"a bool or a number", one(of("boolean"), of("number")), KindAny},
		{"an integer or null", one(of("integer"), of("null")), KindInteger},
		{"any of them", &document.Schema{AnyOf: []*document.Schema{of("integer"), of("number")}}, KindNumber},
		{"choices of choices", one(of("integer"), one(of("number"), of("string"))), KindString},
		{"an object or text", one(&document.Schema{Properties: map[string]*document.Schema{"a": of("string")}}, of("string")), KindAny},
		{"an array or text", one(&document.Schema{Types: []string{"array"}, Items: of("string")}, of("string")), KindAny},
		{"an integer that is none", &document.Schema{Types: []string{"integer"}, Format: "double"}, KindNumber},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got, _ := resolve(test.schema, "x").element(); got != test.want {
				t.Errorf("element = %q, want %q", got.Name(), test.want.Name())
			}
		})
	}
}

// A schema that leads to itself by its choices alone ends.
func TestScalar_circular(t *testing.T) {
	t.Parallel()
	s := &document.Schema{}
	s.OneOf = []*document.Schema{s, s}
	if got, _ := resolve(s, "x").element(); got != KindAny {
		t.Errorf("element = %q, want any value", got.Name())
	}
}
