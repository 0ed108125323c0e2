package policy

import (
	"slices"
	"sync"
	"sync/atomic"

	"samsara.internal/gateway/internal/identity"
)

// Policy is what a file says. It is immutable.
type Policy struct {
	api    *API
	rules  []rule
	limits []limit
	// names are what identities are called by, the first that matches.
	names []named

	// tables are what identities may do for an organization, by what matches them. Identities that the same rules and
	// limits match share one. They are maxTables at most.
	tables sync.Map // of tableKey to *table
	count  atomic.Int64
}

// maxTables bounds the tables that are kept, of some KiB each.
const maxTables = 4096

// named is a name in the file for identities: a group's, or a pattern's text.
type named struct {
	name       string
	identities []identityPattern
}

// Names returns the names that Grant.Name may return: those of the groups, sorted, and then the identities that rules
// and limits name themselves, in the order of the file.
func (p *Policy) Names() []string {
	names := make([]string, len(p.names))
	for i, n := range p.names {
		names[i] = n.name
	}
	return names
}

// rule allows or denies.
type rule struct {
	name          string
	line          int
	identities    []identityPattern
	organizations []string
	// methods is whether the rule is for a method, by its index.
	methods []bool
	allow   bool
}

// limit is a Limits, and for whom it is.
type limit struct {
	line          int
	identities    []identityPattern
	organizations []string
	limits        *Limits
}

// Limits bound the calls of an identity.
type Limits struct {
	Name string
	// Weight is the identity's share of the quota, from 0.001 to 1000; 0: not said.
	Weight float64
	// Batch is whether its calls are batch, whatever they say.
	Batch bool
	// RequestsPerSecond bounds its calls; 0: no bound. Streams bounds its open streams; 0: no bound.
	RequestsPerSecond float64
	Streams           int
}

// Decision is what a policy says of a call.
type Decision struct {
	Allowed bool
	// Rule is the name of the rule that decides; empty: none allows it.
	Rule string
	// Limits bound the caller; nil: nothing does.
	Limits *Limits
}

// API returns what the policy is for.
func (p *Policy) API() *API { return p.api }

// Grant returns what the policy decides for an identity. It is made in a time that grows with the rules.
func (p *Policy) Grant(who identity.Principal) *Grant {
	g := &Grant{policy: p}
	var key []byte
	for i := range p.rules {
		if matchesAny(p.rules[i].identities, who) {
			g.rules = append(g.rules, i)
			key = append(key, byte(i), byte(i>>8))
		}
	}
	key = append(key, 0xFF, 0xFF)
	for i := range p.limits {
		if matchesAny(p.limits[i].identities, who) {
			g.limits = append(g.limits, i)
			key = append(key, byte(i), byte(i>>8))
		}
	}
	g.key = string(key)
	if i := slices.IndexFunc(p.names, func(n named) bool { return matchesAny(n.identities, who) }); i >= 0 {
		g.name = p.names[i].name
	}
	return g
}
