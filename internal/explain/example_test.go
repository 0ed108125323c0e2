package explain_test

import (
	"context"
	"fmt"

	"google.golang.org/protobuf/reflect/protoregistry"

	_ "samsara.internal/gateway/gen" // the methods that there are
	"samsara.internal/gateway/internal/catalog"
	"samsara.internal/gateway/internal/config"
	"samsara.internal/gateway/internal/endpoint"
	"samsara.internal/gateway/internal/explain"
	"samsara.internal/gateway/upstream"
)

func ExampleExplainer_Explain() {
	endpoints, err := endpoint.Load(protoregistry.GlobalFiles, protoregistry.GlobalTypes)
	if err != nil {
		fmt.Println(err)
		return
	}
	cfg, err := config.LoadExplain([]string{"--retry-max-attempts", "3"}, nil, config.API{})
	if err != nil {
		fmt.Println(err)
		return
	}
	client, err := upstream.New(upstream.Config{
		BaseURL: cfg.UpstreamURL, Token: upstream.StaticToken(explain.Token), Retry: upstream.RetryPolicy{MaxAttempts: cfg.RetryMaxAttempts},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	explainer := &explain.Explainer{Methods: catalog.New(endpoints), Client: client, Config: &cfg}

	plan, err := explainer.Explain(context.Background(), "GET /tags/3914", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(plan.Method)
	fmt.Println(plan.Request.Method, plan.Request.URL)
	fmt.Println(plan.Retries.MaxAttempts, "from", plan.Retries.MaxAttemptsFrom, plan.Retries.Statuses)

	_, err = explainer.Explain(context.Background(), "TagsService/GetTag", []byte(`{}`))
	fmt.Println(err)
	// Output:
	// samsara_gateway.tags.v1.TagsService/GetTag
	// GET https://api.samsara.com/tags/3914
	// 3 from --retry-max-attempts (the command line) [408 429 500-599]
	// samsara_gateway.tags.v1.TagsService/GetTag: INVALID_ARGUMENT: the gateway refuses the request
	//   id: is required
}
