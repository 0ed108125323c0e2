package model

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"samsara.internal/gateway/cmd/protogen/internal/words"
	gatewayv1 "samsara.internal/gateway/gen/samsara/gateway/v1"
)

// Place names a package: samsara.<area>.<version>.
type Place struct{ Area, Version string }

// TypesPlace holds the schemas that several packages share. It imports no other area, so there
// are no import cycles.
func TypesPlace() Place { return Place{"types", "v1"} }

func (p Place) String() string { return "samsara." + p.Area + "." + p.Version }

// File is the path of the package's only file below the root of the tree.
func (p Place) File() string {
	return path.Join("samsara", p.Area, p.Version, p.Area+".proto")
}

// Service is the name of the package's service.
func (p Place) Service() string { return words.UpperCamel(words.Split(p.Area)) + "Service" }

// Stage is the stage of the package's operations.
func (p Place) Stage() gatewayv1.Stage {
	switch {
	case p.Area == "legacy":
		return gatewayv1.Stage_STAGE_LEGACY
	case p.Version == "v1beta1":
		return gatewayv1.Stage_STAGE_BETA
	case p.Version == "v1alpha1":
		return gatewayv1.Stage_STAGE_PREVIEW
	default:
		return gatewayv1.Stage_STAGE_STABLE
	}
}

// placeOf decides the package of an operation by its tag and path. Beta and preview operations
// all have one tag, so their area is the resource in their path.
func placeOf(template string, tags []string) (Place, error) {
	tag := ""
	if len(tags) > 0 {
		tag = tags[0]
	}
	segments := strings.Split(strings.Trim(template, "/"), "/")
	p := Place{Version: "v1"}
	switch {
	case segments[0] == "v1", tag == "Legacy", tag == "Legacy APIs":
		p.Area = "legacy"
	case segments[0] == "beta", tag == "Beta APIs":
		p = Place{pathArea(segments), "v1beta1"}
	case segments[0] == "preview", tag == "Preview APIs":
		p = Place{pathArea(segments), "v1alpha1"}
	default:
		p.Area = words.Snake(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(tag, ""))
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(p.Area) || p.Area == "gateway" || p == TypesPlace() {
		return Place{}, fmt.Errorf("tag %q and path give the area %q: %w", tag, p.Area, ErrUnsupported)
	}
	return p, nil
}

// pathArea is the first segment of a path that names a resource.
func pathArea(segments []string) string {
	i := slices.IndexFunc(segments, func(s string) bool {
		return s != "beta" && s != "preview" && s != "fleet" && !strings.HasPrefix(s, "{")
	})
	if i < 0 {
		return ""
	}
	return words.Snake(segments[i])
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
