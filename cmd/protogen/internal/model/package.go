package model

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/document"
	"samsara.internal/gateway/cmd/protogen/internal/words"
	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// Package names a package by its area: samsara_gateway.<area>.v1.
type Package struct{ Area string }

// Root is the first component of every package and folder.
const Root = "samsara_gateway"

// TypesPackage returns the package of the schemas that several packages share. It imports no other area,
// so there are no import cycles.
func TypesPackage() Package { return Package{"types"} }

func (p Package) String() string { return Root + "." + p.Area + ".v1" }

// File returns the path of the package's only file, below the root of the tree.
func (p Package) File() string { return path.Join(Root, p.Area, "v1", p.Area+".proto") }

// Service returns the name of the package's service.
func (p Package) Service() string { return p.Camel() + "Service" }

// Camel returns the area in UpperCamelCase.
func (p Package) Camel() string { return words.UpperCamel(words.Split(p.Area)) }

// Written reports whether protogen writes the package. The others are written by hand.
func (p Package) Written() bool { return p.Area != "api" && p.Area != "events" }

// stageOf returns the stage of an operation, by its tag and path.
func stageOf(op *document.Operation) apiv1.Stage {
	switch first, tag := segments(op)[0], tagOf(op); {
	case first == "v1", tag == "Legacy", tag == "Legacy APIs":
		return apiv1.Stage_STAGE_LEGACY
	case first == "beta", tag == "Beta APIs":
		return apiv1.Stage_STAGE_BETA
	case first == "preview", tag == "Preview APIs":
		return apiv1.Stage_STAGE_PREVIEW
	}
	return apiv1.Stage_STAGE_STABLE
}

// areas has, for each area, how many stable operations have paths that begin with each resource.
type areas map[string]map[string]int

func newAreas(operations []*document.Operation) areas {
	a := areas{}
	for _, op := range operations {
		if stageOf(op) != apiv1.Stage_STAGE_STABLE {
			continue
		}
		area := tagArea(op)
		if a[area] == nil {
			a[area] = map[string]int{}
		}
		a[area][pathArea(op)]++
	}
	return a
}

// packageOf returns the package of an operation: by its tag, or by its path if the operation is beta or
// preview, because all of these have the same tag.
func (a areas) packageOf(op *document.Operation) (Package, error) {
	p := Package{}
	switch stageOf(op) {
	case apiv1.Stage_STAGE_LEGACY:
		p.Area = "legacy"
	case apiv1.Stage_STAGE_BETA, apiv1.Stage_STAGE_PREVIEW:
		p.Area = a.of(pathArea(op))
	default:
		p.Area = tagArea(op)
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(p.Area) || !p.Written() || p == TypesPackage() {
		return Package{}, fmt.Errorf("tag %q and path give the area %q: %w", tagOf(op), p.Area, ErrUnsupported)
	}
	return p, nil
}

// of returns the area of a resource: the stable area with its name, or else the area that has more than
// half of the resource's stable operations, or else a new one.
func (a areas) of(resource string) string {
	if a[resource] != nil {
		return resource
	}
	all, most, area := 0, 0, resource
	for name, under := range a {
		all += under[resource]
		if under[resource] > most {
			most, area = under[resource], name
		}
	}
	if 2*most > all {
		return area
	}
	return resource
}

func tagOf(op *document.Operation) string {
	if len(op.Tags) == 0 {
		return ""
	}
	return op.Tags[0]
}

// tagArea returns the area that the operation's tag names, without what is in brackets.
func tagArea(op *document.Operation) string {
	return words.Snake(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(tagOf(op), ""))
}

func segments(op *document.Operation) []string {
	return strings.Split(strings.Trim(op.Path, "/"), "/")
}

// pathArea returns the first segment of the path that names a resource.
func pathArea(op *document.Operation) string {
	for _, s := range segments(op) {
		if s != "beta" && s != "preview" && s != "fleet" && !strings.HasPrefix(s, "{") {
			return words.Snake(s)
		}
	}
	return ""
}

// lastLiteral returns the last segment of a path that is not a parameter.
func lastLiteral(template string) string {
	segments := strings.Split(template, "/")
	for _, s := range slices.Backward(segments) {
		if s != "" && !strings.HasPrefix(s, "{") {
			return s
		}
	}
	return "values"
}
