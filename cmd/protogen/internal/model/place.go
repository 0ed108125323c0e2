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

// Place names a package by its area: samsara_gateway.<area>.v1.
type Place struct{ Area string }

// Root is the first component of every package and folder.
const Root = "samsara_gateway"

// TypesPlace holds the schemas that several packages share. It imports no other area, so there
// are no import cycles.
func TypesPlace() Place { return Place{"types"} }

func (p Place) String() string { return Root + "." + p.Area + ".v1" }

// File is the path of the package's only file below the root of the tree.
func (p Place) File() string { return path.Join(Root, p.Area, "v1", p.Area+".proto") }

// Service is the name of the package's service.
func (p Place) Service() string { return p.Camel() + "Service" }

// Camel is the area in UpperCamelCase.
func (p Place) Camel() string { return words.UpperCamel(words.Split(p.Area)) }

// Written says whether the package is protogen's to write. The others are written by hand.
func (p Place) Written() bool { return p.Area != "api" && p.Area != "events" }

// stageOf decides the stage of an operation by its tag and path.
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

// areas counts the stable operations of each area by the resource that their paths begin with.
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

// place decides the package of an operation: by its tag, or if it is beta or preview, by its path,
// because all of these have one tag.
func (a areas) place(op *document.Operation) (Place, error) {
	p := Place{}
	switch stageOf(op) {
	case apiv1.Stage_STAGE_LEGACY:
		p.Area = "legacy"
	case apiv1.Stage_STAGE_BETA, apiv1.Stage_STAGE_PREVIEW:
		p.Area = a.of(pathArea(op))
	default:
		p.Area = tagArea(op)
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(p.Area) || !p.Written() || p == TypesPlace() {
		return Place{}, fmt.Errorf("tag %q and path give the area %q: %w", tagOf(op), p.Area, ErrUnsupported)
	}
	return p, nil
}

// of is the area of a resource: the stable one of its name, or else the one that has more than half
// of the resource's stable operations, or else a new one.
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

// tagArea is the operation's tag, without what is in brackets.
func tagArea(op *document.Operation) string {
	return words.Snake(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(tagOf(op), ""))
}

func segments(op *document.Operation) []string {
	return strings.Split(strings.Trim(op.Path, "/"), "/")
}

// pathArea is the first segment of the path that names a resource.
func pathArea(op *document.Operation) string {
	for _, s := range segments(op) {
		if s != "beta" && s != "preview" && s != "fleet" && !strings.HasPrefix(s, "{") {
			return words.Snake(s)
		}
	}
	return ""
}

// lastLiteral is the last segment of a path that is no parameter.
func lastLiteral(template string) string {
	segments := strings.Split(template, "/")
	for _, s := range slices.Backward(segments) {
		if s != "" && !strings.HasPrefix(s, "{") {
			return s
		}
	}
	return "values"
}
