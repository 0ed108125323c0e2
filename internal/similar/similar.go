// Package similar finds the names that were probably meant by a name that is none.
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

// Names returns at most so many of names, the most similar to name first: those with the fewest
// letters to insert, remove or replace, if they are at most a third of its letters. Case and
// underscores do not count. Of names that are equally similar the first ones count, and of equal
// names one. A name of more than 64 bytes has no similar ones.
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

// distance is the Levenshtein distance of two texts in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
