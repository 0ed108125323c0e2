package policy

import (
	"slices"
	"strings"

	"samsara.internal/gateway/internal/identity"
)

// Report is what a policy comes to.
type Report struct {
	Rules []RuleReport `json:"rules"`
	// Nobody are the methods that nobody may use.
	Nobody []string `json:"nobodyMayUse"`
}

// RuleReport is what a rule comes to.
type RuleReport struct {
	Name  string `json:"name"`
	Allow bool   `json:"allow"`
	// Methods is for how many methods it is.
	Methods int `json:"methods"`
	// Decides is whether there is a call that it decides about.
	Decides bool `json:"decides"`
}

// Report tries the policy with an identity for each pattern in it, and returns what comes of that. So it knows of a
// method that somebody may use it, and of one that nobody may unless its patterns overlap in a way that only some
// identities show.
func (p *Policy) Report() Report {
	organizations := p.organizations()
	usable := make([]bool, len(p.api.methods))
	decides := make(map[string]bool)
	for _, who := range p.witnesses() {
		grant := p.Grant(who)
		for _, organization := range organizations {
			for i, d := range grant.table(organization).decisions {
				usable[i] = usable[i] || d.Allowed
				decides[d.Rule] = true
			}
		}
	}
	var r Report
	for _, rule := range p.rules {
		r.Rules = append(r.Rules, RuleReport{rule.name, rule.allow, p.api.count(rule.methods), decides[rule.name]})
	}
	for i, m := range p.api.methods {
		if !usable[i] && m != p.api.passthroughRead && m != p.api.passthroughWrite {
			r.Nobody = append(r.Nobody, m.Name)
		}
	}
	return r
}

// organizations returns those that there are, or one for each pattern if any may be there.
func (p *Policy) organizations() []string {
	if len(p.api.organizations) > 0 {
		return p.api.organizations
	}
	all := []string{"default"}
	for _, r := range p.rules {
		for _, pattern := range r.organizations {
			if name := strings.ReplaceAll(pattern, "*", "x"); !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return all
}

// witnesses returns an identity for each pattern, each once.
func (p *Policy) witnesses() []identity.Principal {
	var all []identity.Principal
	add := func(patterns []identityPattern) {
		for _, pattern := range patterns {
			if who := pattern.witness(); !slices.Contains(all, who) {
				all = append(all, who)
			}
		}
	}
	for _, r := range p.rules {
		add(r.identities)
	}
	return all
}

// Allowed is a method and what is decided about it.
type Allowed struct {
	Method string
	Decision
}

// Explain returns what is decided for an identity and an organization, about every method.
func (p *Policy) Explain(who identity.Principal, organization string) []Allowed {
	var all []Allowed
	t := p.Grant(who).table(organization)
	for i, m := range p.api.methods {
		if m != p.api.passthroughRead && m != p.api.passthroughWrite {
			all = append(all, Allowed{m.Name, t.decisions[i]})
		}
	}
	return all
}

// ParseIdentity reads an identity as policies write it, such as token:billing.
func ParseIdentity(text string) (identity.Principal, error) {
	pattern, err := parseIdentity(text)
	return identity.Principal{Means: pattern.means, Name: pattern.name}, err
}

// count returns how many of the methods that clients can call are in a set.
func (a *API) count(set []bool) int {
	n := 0
	for i, m := range a.methods {
		if set[i] && m != a.passthroughRead && m != a.passthroughWrite {
			n++
		}
	}
	return n
}
