package sandbox_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"samsara.internal/gateway/internal/sandbox"
)

// Seeded records do not change unless a client changes them. Two reads at different times agree, except on
// measurements, which have their time beside them, and on the members that testdata/live-members.txt lists.
func TestSeeds_standStill(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	moved := map[string]bool{}
	read := func() map[string]any {
		answers := map[string]any{}
		for _, e := range endpoints(t) {
			if e.Operation.GetMethod().String() != "HTTP_METHOD_"+http.MethodGet || deprecated(e.Method) {
				continue
			}
			answers["GET "+e.Operation.GetPath()] = a.get(t, requestFor(e, false).line, "")
		}
		return answers
	}
	first := read()
	a.clock.advance(26*time.Hour + 7*time.Minute + 3*sandbox.Tick)
	second := read()
	for line := range first {
		for _, path := range movements(first[line], second[line], "") {
			moved[line+" "+path] = true
		}
	}
	sandbox.CompareGolden(t, "live-members.txt", "members that two reads tell differently", slices.Collect(maps.Keys(moved)))
	if len(first) < 150 {
		t.Errorf("%d answers compared, want at least 150", len(first))
	}
}

// movements returns the members on which two answers differ, except those of readings: objects with their
// time.
func movements(one, other any, path string) []string {
	switch one := one.(type) {
	case map[string]any:
		other, ok := other.(map[string]any)
		if !ok {
			return []string{path}
		}
		for _, name := range []string{"time", "timeMs", "datetime"} {
			if one[name] != nil && fmt.Sprint(one[name]) != fmt.Sprint(other[name]) {
				return nil
			}
		}
		var out []string
		for name := range one {
			if name != "pagination" {
				out = append(out, movements(one[name], other[name], strings.TrimPrefix(path+"."+name, "."))...)
			}
		}
		for name := range other {
			if one[name] == nil {
				out = append(out, strings.TrimPrefix(path+"."+name, "."))
			}
		}
		return out
	case []any:
		other, ok := other.([]any)
		if !ok || len(one) != len(other) {
			return []string{path}
		}
		var out []string
		for i := range one {
			out = append(out, movements(one[i], other[i], path)...)
		}
		return out
	}
	if fmt.Sprint(one) != fmt.Sprint(other) {
		return []string{path}
	}
	return nil
}

// All events of a seeded record are after its creation, and its last change is the latest.
func TestSeeds_happenInOrder(t *testing.T) {
	t.Parallel()
	a := serve(t, nil)
	created, told := 0, 0
	for _, e := range endpoints(t) {
		if e.Operation.GetMethod().String() != "HTTP_METHOD_"+http.MethodGet || deprecated(e.Method) {
			continue
		}
		line := requestFor(e, false).line
		record, _ := recordIn(e.Method.Output(), a.get(t, line, ""))
		born, err := time.Parse(time.RFC3339, fmt.Sprint(record["createdAtTime"]))
		if err != nil {
			continue
		}
		created++
		for name, v := range record {
			at, err := time.Parse(time.RFC3339, fmt.Sprint(v))
			if err != nil {
				continue
			}
			if told++; at.Before(born) && at.Year() > 1 {
				t.Errorf("%s: %s is %v, before createdAtTime, %v", line, name, at, born)
			}
			changed, err := time.Parse(time.RFC3339, fmt.Sprint(record["updatedAtTime"]))
			isPast := !strings.Contains(strings.ToLower(name), "due") && !strings.Contains(strings.ToLower(name), "expir") && !strings.HasPrefix(name, "next")
			if err == nil && isPast && changed.Before(at) {
				t.Errorf("%s: %s is %v, after updatedAtTime, %v", line, name, at, changed)
			}
		}
	}
	if created < 30 || told < 60 {
		t.Errorf("%d records compared, with %d times, want at least 30 and 60", created, told)
	}
}
