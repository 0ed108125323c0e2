package policy_test

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protoregistry"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/identity"
	"samsara.internal/gateway/internal/policy"
)

// Everybody reads, and nobody writes.
func ExampleGrant_Decide() {
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := policy.Parse([]byte(`
rules:
  - name: everybody reads
    identities: ["*"]
    methods: [read]
    effect: allow
`), policy.NewAPI(endpoints))
	if err != nil {
		fmt.Println(err)
		return
	}
	billing := p.Grant(identity.Principal{Means: identity.Token, Name: "billing"})
	for _, name := range []string{"ListTags", "StreamTags", "CreateTag"} {
		d := billing.Decide(p.API().Method("/samsara_gateway.tags.v1.TagsService/"+name), "default")
		fmt.Printf("%s: %t %q\n", name, d.Allowed, d.Rule)
	}
	// Output:
	// ListTags: true "everybody reads"
	// StreamTags: true "everybody reads"
	// CreateTag: false ""
}
