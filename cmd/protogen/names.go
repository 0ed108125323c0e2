package main

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// words splits a name at every character that is neither letter nor digit and where a capital
// begins a word. Acronyms stay together: DEFRemaining is DEF, Remaining.
func words(name string) []string {
	var all []string
	var word []rune
	flush := func() {
		if len(word) > 0 {
			all = append(all, string(word))
		}
		word = nil
	}
	runes := []rune(name)
	for i, r := range runes {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			continue
		}
		afterAcronym := i+1 < len(runes) && unicode.IsLower(runes[i+1])
		if len(word) > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(word[len(word)-1]) || afterAcronym) {
			flush()
		}
		word = append(word, r)
	}
	flush()
	return all
}

// identifier makes a name that would begin with a digit, or be empty, begin with a word.
func identifier(name, word string) string {
	if name == "" || name[0] >= '0' && name[0] <= '9' {
		return word + name
	}
	return name
}

// snake is a name in lower_snake_case.
func snake(name string) string {
	return strings.ToLower(strings.Join(words(name), "_"))
}

// upperCamel joins words, each with its first letter in upper case.
func upperCamel(words []string) string {
	var b strings.Builder
	for _, w := range words {
		b.WriteString(strings.ToUpper(w[:1]) + w[1:])
	}
	return b.String()
}

// derivedJSONName is the JSON name that protoc gives a field without json_name.
func derivedJSONName(field string) string {
	var b strings.Builder
	upper := false
	for _, r := range field {
		if r == '_' {
			upper = true
			continue
		}
		if upper {
			r = unicode.ToUpper(r)
		}
		b.WriteRune(r)
		upper = false
	}
	return b.String()
}

// singular is the singular of an English plural, as far as endings tell.
func singular(word string) string {
	for _, ending := range [][2]string{
		{"series", "series"}, {"vertices", "vertex"}, {"statuses", "status"},
		{"ies", "y"}, {"sses", "ss"}, {"xes", "x"}, {"ches", "ch"}, {"shes", "sh"},
		{"ss", "ss"}, {"us", "us"}, {"is", "is"}, {"s", ""},
	} {
		if stem, ok := strings.CutSuffix(word, ending[0]); ok && stem+ending[1] != "" {
			return stem + ending[1]
		}
	}
	return word
}

// messageNames lists names for the message of a schema, the best first. The document's schema
// names carry the debris of the generator that wrote it: Goa, ResponseBody, Object, the
// operation, versions, hashes. A later name keeps some of it, to tell schemas apart. The schema
// of an element is named in the singular, if the name was made from a property's.
func messageNames(key string, element bool) []string {
	all := withoutBody(keyWords(regexp.MustCompile(`PublicVariant[0-9A-Fa-f]{12}`).ReplaceAllString(key, "Variant")))
	verb, thing := cutOperation(all)
	variant := without(thing, "Request", "Response", "Object", "Goa")
	plain := without(withoutVersion(variant), "Variant")
	var names []string
	for _, candidate := range [][]string{
		plain,
		slices.Concat(verb, plain),
		variant,
		slices.Concat(verb, variant),
		without(thing, "Request", "Response", "Goa"),
		without(thing, "Request", "Response", "Object"),
		thing,
	} {
		candidate = collapse(candidate)
		if n := len(candidate); element && n > 0 && strings.ContainsAny(key, "._[{") {
			candidate[n-1] = singular(candidate[n-1])
		}
		name := identifier(upperCamel(candidate), "Schema")
		if !slices.Contains(names, name) && !strings.HasSuffix(name, "Request") && !strings.HasSuffix(name, "Response") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return []string{"Schema"}
	}
	return names
}

// keyWords are the words of a schema's key; what a property holds many of is in the singular.
func keyWords(key string) []string {
	var all []string
	for _, part := range strings.Split(key, ".") {
		name := strings.TrimRight(part, "[]{}")
		found := words(name)
		if name != part && len(found) > 0 {
			found[len(found)-1] = singular(found[len(found)-1])
		}
		all = append(all, found...)
	}
	return all
}

// withoutBody drops what says that a schema is a request's or a response's body.
func withoutBody(w []string) []string {
	n := len(w)
	if n < 3 || w[n-1] != "Body" || w[n-2] != "Request" && w[n-2] != "Response" {
		return w
	}
	if w[n-3] == "Type" && n > 3 {
		return w[:n-3]
	}
	return w[:n-2]
}

// cutOperation splits CreateThingEntityRest and EntityCreateThing, the names of schemas made
// for one operation, into the verb and the rest.
func cutOperation(w []string) (verb, rest []string) {
	entity := slices.Index(w, "Entity")
	if entity == 0 && len(w) > 2 && isVerb(w[1]) {
		return w[1:2], w[2:]
	}
	if entity > 0 && entity+1 < len(w) && isVerb(w[0]) {
		return w[:1], w[entity+1:]
	}
	return nil, w
}

func isVerb(word string) bool {
	switch word {
	case "Create", "Update", "List", "Get", "Delete", "Patch", "Post", "Put", "Replace", "Resolve":
		return true
	}
	return false
}

// without drops words, and the Body of a RequestBody or ResponseBody within a name.
func without(w []string, dropped ...string) []string {
	var kept []string
	for i, word := range w {
		inner := word == "Body" && i > 0 && (w[i-1] == "Request" || w[i-1] == "Response")
		if !inner && !slices.Contains(dropped, word) {
			kept = append(kept, word)
		}
	}
	return kept
}

// withoutVersion drops V1, V2025_10_23 and the like.
func withoutVersion(w []string) []string {
	var kept []string
	date := false
	for _, word := range w {
		date = regexp.MustCompile(`^[vV]\d+$`).MatchString(word) ||
			date && regexp.MustCompile(`^\d+$`).MatchString(word)
		if !date {
			kept = append(kept, word)
		}
	}
	return kept
}

// collapse drops the first of two equal runs of words, where a plural equals its singular:
// PurchaseOrders PurchaseOrder Part.
func collapse(w []string) []string {
	w = slices.Clone(w)
	for run := len(w) / 2; run > 0; run-- {
		for i := 0; i+2*run <= len(w); {
			if equalWords(w[i:i+run], w[i+run:i+2*run]) {
				w = slices.Delete(w, i, i+run)
			} else {
				i++
			}
		}
	}
	return w
}

func equalWords(a, b []string) bool {
	return slices.EqualFunc(a, b, func(a, b string) bool { return strings.EqualFold(singular(a), singular(b)) })
}

// unique returns the first name that is not taken: the name, name2, name3, joined by sep.
func unique(name, sep string, taken func(string) bool) string {
	if !taken(name) {
		return name
	}
	for n := 2; ; n++ {
		if next := name + sep + strconv.Itoa(n); !taken(next) {
			return next
		}
	}
}
