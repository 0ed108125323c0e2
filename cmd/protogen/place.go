package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// placeOf decides the package of an operation by its tag and path. Beta and preview operations
// all have one tag, so their area is the resource in their path.
func placeOf(template string, tags []string) (place, error) {
	tag := ""
	if len(tags) > 0 {
		tag = tags[0]
	}
	segments := strings.Split(strings.Trim(template, "/"), "/")
	p := place{version: "v1"}
	switch {
	case segments[0] == "v1", tag == "Legacy", tag == "Legacy APIs":
		p.area = "legacy"
	case segments[0] == "beta", tag == "Beta APIs":
		p = place{pathArea(segments), "v1beta1"}
	case segments[0] == "preview", tag == "Preview APIs":
		p = place{pathArea(segments), "v1alpha1"}
	default:
		p.area = snake(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(tag, ""))
	}
	if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(p.area) || p.area == "gateway" || p == typesPlace() {
		return place{}, fmt.Errorf("tag %q and path give the area %q: %w", tag, p.area, ErrUnsupported)
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
	return snake(segments[i])
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
