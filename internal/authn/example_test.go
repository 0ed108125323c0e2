package authn_test

import (
	"context"
	"fmt"

	"samsara.internal/gateway/internal/authn"
)

// fixed is a value that never changes.
type fixed struct{ tokens *authn.Tokens }

func (f fixed) Get() *authn.Tokens { return f.tokens }
func (fixed) Version() uint64      { return 0 }

// A caller proves who it is by a static token, of which the gateway has the hash alone.
func ExampleAuthenticator_Authenticate() {
	const token = "sgw_0123456789ABCDEFGHIJKLMNOP"
	tokens, err := authn.ParseTokens([]byte("billing: 1f6aa3d3576665e82966e54dea263e80bf5ecbec126e375cccac3e941a366741"))
	if err != nil {
		fmt.Println(err)
		return
	}
	a := authn.New(authn.Config{Tokens: fixed{tokens}})
	who, err := a.Authenticate(context.Background(), authn.NewPeer(nil), []string{"Bearer " + token})
	fmt.Printf("%s:%s %v\n", who.Principal.Means, who.Principal.Name, err)
	who, err = a.Authenticate(context.Background(), authn.NewPeer(nil), nil)
	fmt.Println(who.Principal.Means, err)
	// Output:
	// token:billing <nil>
	// anonymous <nil>
}
