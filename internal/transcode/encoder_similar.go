package transcode

import "strings"

// similar returns the proto name that was probably meant by a name that is none: the one with the
// fewest letters to insert, remove or replace, if they are at most a third of the letters. Case and
// underscores do not count. It is empty if there is none.
func (o *objectWriter) similar(name string) string {
	const longest = 64
	if len(name) > longest {
		return ""
	}
	plain := func(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }
	name = plain(name)
	least, similar := len(name)/3+1, ""
	for i := range o.members {
		other := plain(o.members[i].name)
		if d := distance(name, other); d < least {
			least, similar = d, o.members[i].name
		}
	}
	return similar
}

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
