package similar

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// longest bounds a name for which similar ones are looked for, in bytes: the time for each other
// name grows with both.
const longest = 64

// Names returns the names that are similar to name, at most as many as most. The name with the fewest letters
// to insert, remove, replace or exchange with the next one comes first, and a name is similar if these are at
// most a third of the letters of name. Case and underscores do not count. Of names that are equally similar
// the first ones count, and of equal names one. A name of more than 64 bytes has no similar ones.
func Names(name string, names iter.Seq[string], most int) []string {
	if len(name) > longest {
		return nil
	}
	type found struct {
		name     string
		distance int
	}
	var all []found
	name = plain(name)
	for other := range names {
		if d := distance(name, plain(other)); d <= len(name)/3 {
			all = append(all, found{other, d})
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return cmp.Compare(a.distance, b.distance) })
	var similar []string
	for _, f := range all {
		if len(similar) < most && !slices.Contains(similar, f.name) {
			similar = append(similar, f.name)
		}
	}
	return similar
}

func plain(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// distance returns how many bytes of a must be inserted, removed, replaced or exchanged with the next one to
// make b of it: the optimal string alignment distance. No byte is changed twice.
func distance(a, b string) int {
	// The rows for the beginnings of a: with two letters less, one less, and now.
	before, above, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, before
		row[0] = i + 1
		for j := range len(b) {
			cost := above[j]
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, row[j]+1, above[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
