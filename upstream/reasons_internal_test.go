package upstream

import (
	"strconv"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	apiv1 "samsara.internal/gateway/gen/api/v1"
)

// stated returns what errors.proto states of a reason.
func stated(t *testing.T, reason apiv1.Reason) (*apiv1.Verdict, codes.Code) {
	t.Helper()
	v, ok := proto.GetExtension(reason.Descriptor().Values().ByNumber(reason.Number()).Options(), apiv1.E_Verdict).(*apiv1.Verdict)
	var code codes.Code
	if err := code.UnmarshalJSON([]byte(`"` + v.GetCode() + `"`)); !ok || err != nil {
		t.Fatalf("%s: %v, %v", reason, v, err)
	}
	return v, code
}

// TestReasons_asTheFileStates compares the code, domain and repetition of every reason with errors.proto.
func TestReasons_asTheFileStates(t *testing.T) {
	t.Parallel()
	statuses := map[apiv1.Reason][]int{}
	for status := 100; status < 600; status++ {
		if status/100 != 2 {
			reason, _ := verdict(status)
			statuses[reason] = append(statuses[reason], status)
		}
	}
	values := apiv1.Reason(0).Descriptor().Values()
	for i := range values.Len() {
		reason := apiv1.Reason(values.Get(i).Number())
		if reason == apiv1.Reason_REASON_UNSPECIFIED {
			continue
		}
		want, code := stated(t, reason)
		failures := []*Error{fault(reason, "", nil)}
		for _, status := range statuses[reason] {
			e := &Error{HTTPStatus: status}
			e.judge()
			failures = append(failures, e)
		}
		if want.GetDomain() == DomainSamsara {
			failures = failures[1:]
		}
		for _, e := range failures {
			if e.Reason != reason || e.Code != code || e.Domain != want.GetDomain() {
				t.Errorf("%s of status %d is %s, %v in %s, want %v in %s", reason, e.HTTPStatus, e.Reason, e.Code, e.Domain, code, want.GetDomain())
			}
			var attempt bool
			switch reason {
			case apiv1.Reason_REASON_GATEWAY_DRAINING, apiv1.Reason_REASON_GATEWAY_KEYS, apiv1.Reason_REASON_GATEWAY_CREDENTIALS, apiv1.Reason_REASON_GATEWAY_AUDIT: // These are about none.
			default:
				attempt = true
			}
			repeats := e.transient() && attempt
			if repeats != (want.GetRepeat() == apiv1.Repeat_REPEAT_BY_GATEWAY) {
				t.Errorf("%s of status %d is repeated: %t, want %s", reason, e.HTTPStatus, repeats, want.GetRepeat())
			}
		}
		if len(failures) == 0 {
			t.Errorf("%s is of no HTTP status", reason)
		}
		if repeat := want.GetRepeat(); repeat == apiv1.Repeat_REPEAT_UNSPECIFIED {
			t.Errorf("%s: repeat is %s", reason, repeat)
		}
	}
}

// TestReasons_whileCallersMayCallAgain makes sure that a code that asks callers to come back is that of
// reasons for which that helps.
func TestReasons_whileCallersMayCallAgain(t *testing.T) {
	t.Parallel()
	values := apiv1.Reason(0).Descriptor().Values()
	for i := 1; i < values.Len(); i++ {
		reason := apiv1.Reason(values.Get(i).Number())
		if v, code := stated(t, reason); code == codes.Unavailable && v.GetRepeat() == apiv1.Repeat_REPEAT_NO {
			t.Errorf("%s is %v and %s", reason, code, v.GetRepeat())
		}
	}
}

// TestReasonText_everyStatus makes sure that what a caller compares with is the name in errors.proto, or
// HTTP_ and the status.
func TestReasonText_everyStatus(t *testing.T) {
	t.Parallel()
	for status := range 600 {
		e := &Error{HTTPStatus: status}
		e.judge()
		switch text := e.ReasonText(); {
		case apiv1.Reason_value["REASON_"+text] == int32(e.Reason):
		case text == "HTTP_"+strconv.Itoa(status) && (e.Reason == apiv1.Reason_REASON_HTTP_4XX || e.Reason == apiv1.Reason_REASON_HTTP_5XX):
		default:
			t.Errorf("status %d has reason %q of %s", status, text, e.Reason)
		}
	}
}

// TestKeyText_everyKey makes sure that every key has a text of its own.
func TestKeyText_everyKey(t *testing.T) {
	t.Parallel()
	for _, enum := range []protoreflect.EnumDescriptor{
		apiv1.ErrorInfoKey(0).Descriptor(), apiv1.RequestMetadata(0).Descriptor(), apiv1.ResponseMetadata(0).Descriptor(),
	} {
		seen := map[string]bool{"": true}
		for i := 1; i < enum.Values().Len(); i++ {
			value := enum.Values().Get(i)
			text, _ := proto.GetExtension(value.Options(), apiv1.E_Key).(string)
			if seen[text] {
				t.Errorf("%s: the key %q is empty, or another's", value.FullName(), text)
			}
			seen[text] = true
		}
	}
}
