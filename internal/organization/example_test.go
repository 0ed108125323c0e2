package organization_test

import (
	"fmt"

	"samsara.internal/gateway/internal/organization"
)

// A file lists organizations. What it leaves out follows the defaults.
func ExampleParse() {
	file, err := organization.Parse([]byte(`
organizations:
  - name: north
    token-file: /run/secrets/north
    default: true
  - name: south
    token-file: /run/secrets/south
    region: eu
`), organization.Defaults{BaseURL: "https://api.samsara.com"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range file.Organizations {
		fmt.Println(o.Name, o.URL(), o.Name == file.Default)
	}
	_, err = organization.Parse([]byte("organizations:\n  - name: north\n"), organization.Defaults{})
	fmt.Println(err)
	// Output:
	// north https://api.samsara.com true
	// south https://api.eu.samsara.com false
	// line 2: "north": token-file or oauth: must be set
}
