package explain

// Plan is what a call would do, as JSON and, by WriteText, for people.
type Plan struct {
	// Method is the full name.
	Method      string `json:"method"`
	OperationID string `json:"operationId"`
	// HTTPMethod and Path, which is a template, are the operation's.
	HTTPMethod string `json:"httpMethod"`
	Path       string `json:"path"`
	Stage      string `json:"stage"`
	// Deprecated is whether the method is there only for existing clients.
	Deprecated bool `json:"deprecated,omitempty"`
	// Scope is what the token needs, empty if that is not known.
	Scope string `json:"scope,omitempty"`
	// Corrections are the actions by which Samsara's document was corrected for this method.
	Corrections []Correction `json:"corrections,omitempty"`
	// Refused is what is wrong with the request. If there is anything, Request and Walk are nil.
	Refused []Refusal `json:"refused,omitempty"`
	Request *Request  `json:"request,omitempty"`
	// Walk says how the pages are read, nil for a unary method.
	Walk *Walk `json:"walk,omitempty"`
	// Quota is nil if none is kept.
	Quota   *Quota  `json:"quota,omitempty"`
	Times   []Time  `json:"times"`
	Retries Retries `json:"retries"`
	Reads   Reads   `json:"reads"`
	// Page is nil if the operation does not page. Streams are the methods that read the pages.
	Page    *Page    `json:"page,omitempty"`
	Streams []Stream `json:"streams,omitempty"`
	Reasons []Reason `json:"reasons"`
}

// Correction is one action of proto/corrections.yaml.
type Correction struct {
	// Action is its number, from 1.
	Action int `json:"action"`
	// Target is the JSONPath of what is corrected in Samsara's document.
	Target string `json:"target"`
	// Description says from where the correction is known.
	Description string `json:"description"`
}

// Refusal is a field of a request and the rule that it breaks. Field is empty if the text is no request.
type Refusal struct {
	Field       string `json:"field,omitempty"`
	Description string `json:"description"`
}

// Request is an HTTP request as it goes out.
type Request struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	// Headers are in the order of their names, without Host. The token is Token.
	Headers []Header `json:"headers"`
	// Body is empty if there is none.
	Body string `json:"body,omitempty"`
}

// Header is one field of the header.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Walk says how pages follow the first one, with the options that the request has.
type Walk struct {
	// NextURL is the URL of the next page. It has CURSOR for a cursor.
	NextURL string `json:"nextUrl"`
	// CursorField is where a call says where to begin, such as options.from_cursor.
	CursorField string `json:"cursorField"`
	Follow      bool   `json:"follow"`
	// Numbered is whether pages have numbers in the path rather than cursors.
	Numbered bool `json:"numbered,omitempty"`
	// MaxPages and MaxItems are 0 if there is no bound.
	MaxPages int64 `json:"maxPages,omitempty"`
	MaxItems int64 `json:"maxItems,omitempty"`
	// PollSeconds and KeepAliveSeconds are 0 unless a feed is followed.
	PollSeconds      float64 `json:"pollSeconds,omitempty"`
	KeepAliveSeconds float64 `json:"keepAliveSeconds,omitempty"`
}

// Quota is what an attempt waits for.
type Quota struct {
	// Budgets begin with the token's and the organization's.
	Budgets        []Budget `json:"budgets"`
	MaxWaitSeconds float64  `json:"maxWaitSeconds"`
	MaxWaitFrom    string   `json:"maxWaitFrom"`
	// Batch is whether the call has the priority batch unless it says otherwise. BatchPercent is what such
	// calls get at least.
	Batch        bool `json:"batch"`
	BatchPercent int  `json:"batchPercent"`
	// Shared is whether replicas share the budgets.
	Shared bool `json:"shared"`
}

// Budget is a budget that each attempt takes from. From says where its limit comes from.
type Budget struct {
	// Name is as gateway quota shows it.
	Name string `json:"name"`
	// Limit is a text such as 150/s, or none.
	Limit string `json:"limit"`
	// Effective is how many of these are admitted, without the margin; 0 if there is no limit.
	Effective float64 `json:"effective"`
	From      string  `json:"from"`
}

// Time bounds something.
type Time struct {
	For     string  `json:"for"`
	Seconds float64 `json:"seconds"`
	From    string  `json:"from"`
}

// Retries says how attempts are repeated.
type Retries struct {
	MaxAttempts      int     `json:"maxAttempts"`
	MaxAttemptsFrom  string  `json:"maxAttemptsFrom"`
	BaseDelaySeconds float64 `json:"baseDelaySeconds"`
	BaseDelayFrom    string  `json:"baseDelayFrom"`
	MaxDelaySeconds  float64 `json:"maxDelaySeconds"`
	MaxDelayFrom     string  `json:"maxDelayFrom"`
	// Repeatable is whether an attempt of unknown outcome is repeated.
	Repeatable bool `json:"repeatable"`
	// Statuses are the HTTP statuses after which a request is repeated, such as 429 and 500-599.
	// StatusesAlways are the same for a call with samsara-retry: always.
	Statuses       []string `json:"statuses"`
	StatusesAlways []string `json:"statusesAlways"`
	// Budget is the retry budget: how many repeats there may be within 10 s, see upstream.RetryPolicy. The
	// fields that begin with Circuit are of upstream.BreakerPolicy.
	Budget             int     `json:"budget"`
	CircuitAttempts    int     `json:"circuitAttempts"`
	CircuitPercent     float64 `json:"circuitPercent"`
	CircuitOpenSeconds float64 `json:"circuitOpenSeconds"`
}

// Reads says what a call has in common with others that ask the same.
type Reads struct {
	// Shared is whether calls at the same time are answered by one request.
	Shared bool `json:"shared"`
	// CacheSeconds is how old an answer may be; 0: none is from the cache. CacheFrom says why, and is empty
	// for a call that is never cached.
	CacheSeconds float64 `json:"cacheSeconds"`
	CacheFrom    string  `json:"cacheFrom,omitempty"`
}

// Page says how large pages are.
type Page struct {
	// SizeField is the field of the unary request that sets the size; empty: there is none.
	SizeField string `json:"sizeField,omitempty"`
	// Default and Max are what Samsara's API document says; 0: nothing.
	Default string  `json:"default,omitempty"`
	Max     float64 `json:"max,omitempty"`
}

// Stream is a method that reads pages.
type Stream struct {
	Method      string `json:"method"`
	Follow      bool   `json:"follow"`
	CursorField string `json:"cursorField"`
	// PollSeconds is the time after which a feed is asked again, unless its options say otherwise; 0 if none
	// is followed.
	PollSeconds float64 `json:"pollSeconds,omitempty"`
}

// Reason is a reason that a call can end with.
type Reason struct {
	// Code is the gRPC code, by its name in google.rpc.Code.
	Code string `json:"code"`
	// Reason and Domain are the ErrorInfo's.
	Reason string `json:"reason"`
	Domain string `json:"domain"`
	// Repeated is whether the gateway repeats the request before the call ends with the reason.
	Repeated bool `json:"repeated"`
	// Outlasted is whether a stream that follows a feed goes on, and reports the reason in keep-alives.
	Outlasted bool `json:"outlasted,omitempty"`
}
