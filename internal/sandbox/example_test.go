package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"google.golang.org/protobuf/reflect/protoregistry"

	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/sandbox"
)

// Tags are listed, and one is created and deleted.
func ExampleSandbox() {
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		fmt.Println(err)
		return
	}
	box, err := sandbox.New(sandbox.Config{
		Endpoints: endpoints, Token: "token", Seed: 1, Fleet: 2,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(box)
	defer server.Close()
	call := func(method, path, body string) (status int, answer []byte) {
		req, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Authorization", "Bearer token")
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer func() { _ = resp.Body.Close() }()
		answer, err = io.ReadAll(resp.Body)
		if err != nil {
			fmt.Println(err)
		}
		return resp.StatusCode, answer
	}
	status, answer := call(http.MethodGet, "/tags", "")
	var list struct{ Data []struct{ ID string } }
	fmt.Println("list:", status, json.Unmarshal(answer, &list), list.Data)

	status, answer = call(http.MethodPost, "/tags", `{"name":"East"}`)
	var created struct{ Data struct{ ID, Name string } }
	fmt.Println("create:", status, json.Unmarshal(answer, &created), created.Data.Name)

	status, _ = call(http.MethodDelete, "/tags/"+created.Data.ID, "")
	fmt.Println("delete:", status)
	status, _ = call(http.MethodDelete, "/tags/"+created.Data.ID, "")
	fmt.Println("delete again:", status)
	// Output:
	// list: 200 <nil> [{281474976710657} {281474976710658}]
	// create: 200 <nil> East
	// delete: 204
	// delete again: 404
}
