package main

import (
	"regexp"
	"slices"
	"strings"
)

// unnamed is a new message, with what counts for its name: whether it was first reached from a
// request, and as an element of a list or map.
type unnamed struct {
	*message
	input, element bool
}

// nameMessages names the new messages. Where the forms of a request and of a response compete
// for a name, the response's gets it.
func (m *merger) nameMessages() {
	for _, p := range m.tree.sorted() {
		for _, input := range []bool{false, true} {
			var group []unnamed
			for _, added := range m.unnamed {
				if added.pkg == p && added.input == input {
					group = append(group, added)
				}
			}
			p.nameMessages(group)
		}
	}
}

// nameMessages gives each message the best name it can have. A name that several want goes to
// the schema with the shortest name of its own, to none of them where that does not decide;
// what is left is numbered.
func (p *pkg) nameMessages(group []unnamed) {
	slices.SortFunc(group, func(a, b unnamed) int { return strings.Compare(a.schema, b.schema) })
	taken := p.names()
	candidates := make([][]string, len(group))
	rounds := 0
	for i, m := range group {
		candidates[i] = m.candidates()
		rounds = max(rounds, len(candidates[i]))
	}
	for round := range rounds {
		wanted := map[string][]unnamed{}
		for i, m := range group {
			if m.name == "" && round < len(candidates[i]) {
				name := candidates[i][round]
				wanted[name] = append(wanted[name], m)
			}
		}
		for name, by := range wanted {
			slices.SortStableFunc(by, func(a, b unnamed) int { return len(words(a.schema)) - len(words(b.schema)) })
			if !taken[name] && (len(by) == 1 || len(words(by[0].schema)) < len(words(by[1].schema))) {
				by[0].name = name
				taken[name] = true
			}
		}
	}
	for i, m := range group {
		if m.name == "" {
			m.name = unique(candidates[i][0], "", func(name string) bool { return taken[name] })
			taken[m.name] = true
		}
	}
}

// candidates lists names, the best first. What a request sends gives way to what a response
// holds by an Input after its name.
func (u unnamed) candidates() []string {
	names := messageNames(u.schema, u.element)
	if !u.input {
		return names
	}
	var all []string
	for _, name := range names {
		all = append(all, name)
		if !strings.Contains(name, "Input") {
			all = append(all, name+"Input")
		}
	}
	return all
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
		n := len(candidate)
		if n == 0 {
			continue
		}
		if element && strings.ContainsAny(key, "._[{") {
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

// keyWords are the words of a schema's key; what a property holds many of is in the singular. A
// body without a name of its own goes by its operation's path.
func keyWords(key string) []string {
	var all []string
	key = regexp.MustCompile(`^[A-Z]+ /(\S*) (?:body|response)`).ReplaceAllString(key, "$1")
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
	version := false
	for _, word := range w {
		number := strings.TrimLeft(word, "vV")
		version = isNumber(number) && (number != word || version)
		if !version {
			kept = append(kept, word)
		}
	}
	return kept
}

func isNumber(word string) bool { return word != "" && strings.Trim(word, "0123456789") == "" }

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
