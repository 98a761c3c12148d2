package contact

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/locktone/locktone/call"
)

// words are one value of each kind, with every field set.
func words() []any {
	play := Play{Kind: Digits, Prompts: []Prompt{{Text: "your number, please"}, {Audio: "beep"}}, Variable: "account", Choices: []Choice{{"1", "sales"}},
		Min: 4, Max: 8, End: "*", Timeout: time.Second, Inter: 2 * time.Second, Tries: 2, Barge: true, For: time.Minute, Source: "https://media.example/a.wav"}
	label := Label{Serial: 7, Kind: Connect, Steps: []Play{play}, Language: "en-GB", Number: "2001", NoAnswer: 12 * time.Second, Calling: "800", Originator: true,
		Cause: call.UserBusy, Variables: map[string]string{"queue": "sales"}}
	query := Query{Call: "cs1-1f-4", Server: "cs1", GlobalID: "ab", Called: "800", Calling: "+4930123", Display: "Bob", Began: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC),
		Reason: Failed, Cause: call.UserBusy, Label: 6, With: "2001", State: Connected, Variables: map[string]string{"account": "4711"}}
	note := Note{Server: "cs1", Life: 31, Seq: 9, Call: query.Call, Serial: 7, Kind: NoteFailed, Number: "2001", Cause: call.NoAnswer, By: ByFar, At: query.Began}
	standing := Standing{Query: query, Ringing: "2002"}
	return []any{&label, &query, &note, &Order{query.Call, label}, &TakenAnswer{OldLabel, "7 was taken"}, &Router{"n1", 3},
		&Calls{Server: "cs1", Life: 31, Seq: 9, Calls: []Standing{standing}}, &standing, &CallsRequest{},
		&Join{query.Call, "2009", "800", call.JoinTalk, 12 * time.Second}, &JoinAnswer{true, call.UserBusy, "it is busy"}}
}

// TestRoundTrip: what is written as JSON is read back the same, and no field of the examples was left at zero by mistake.
func TestRoundTrip(t *testing.T) {
	for _, v := range words() {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%T: %v", v, err)
		}
		back := reflect.New(reflect.TypeOf(v).Elem()).Interface()
		if err := json.Unmarshal(b, back); err != nil {
			t.Fatalf("%T: %s: %v", v, b, err)
		}
		if !reflect.DeepEqual(v, back) {
			t.Errorf("%T: read back as\n%+v, expected\n%+v\n%s", v, back, v, b)
		}
		s := reflect.ValueOf(v).Elem()
		for i := range s.NumField() {
			if s.Field(i).IsZero() {
				t.Errorf("%T: the example has no %s", v, s.Type().Field(i).Name)
			}
		}
	}
}

// TestNames: every value of every enumeration has a name of its own that is read back, and what has none is refused.
func TestNames(t *testing.T) {
	type enum interface {
		MarshalText() ([]byte, error)
		String() string
	}
	all := map[string][]enum{
		"reason": {New, Step, NoAnswer, Busy, Failed, TreatmentFailed, Left, Again}, "state": {Waiting, Treated, Connected}, "kind": {Stay, Treat, Connect, End},
		"play": {Say, Menu, Digits, Music, Record}, "taken": {UnknownCall, OldLabel, OrderTaken, BadLabel}, "side": {ByServer, ByCaller, ByFar},
		"note": {NoteRinging, NoteTreated, NoteConnected, NoteFailed, NoteSuperseded, NoteEnded},
	}
	for what, values := range all {
		seen := map[string]bool{}
		for _, v := range values {
			text, _ := v.MarshalText()
			back := reflect.New(reflect.TypeOf(v))
			u := back.Interface().(interface{ UnmarshalText([]byte) error })
			if err := u.UnmarshalText(text); err != nil || back.Elem().Interface() != v || seen[v.String()] || text[0] < 'a' {
				t.Errorf("%s: %q is read back as %v, %v", what, text, back.Elem().Interface(), err)
			}
			seen[v.String()] = true
			if err := u.UnmarshalText([]byte("no such thing")); err == nil || !strings.Contains(err.Error(), "expected one of") {
				t.Errorf("%s: a wrong name is taken: %v", what, err)
			}
		}
	}
	if s := Kind(9).String(); s != "9" {
		t.Errorf("a value without a name is %q", s)
	}
}

// TestCallID: ids differ and can stand in a path of a URI, whatever the node is called.
func TestCallID(t *testing.T) {
	for server, want := range map[string]CallID{"cs1": "cs1-1f-4", "a/b c%ü": "a_b_c___-1f-4", "": "-1f-4"} {
		if got := NewCallID(server, 31, 4); got != want {
			t.Errorf("the call of %q is %q, expected %q", server, got, want)
		}
	}
}

// TestCheck: one mistake per row; an empty one is no mistake.
func TestCheck(t *testing.T) {
	treat := func(p Play) Label { return Label{Serial: 1, Kind: Treat, Steps: []Play{p}} }
	hello := []Prompt{{Text: "hello"}}
	rows := []struct {
		label Label
		wrong string
	}{
		{Label{Serial: 1}, ""},
		{Label{}, "without a serial"},
		{Label{Serial: 1, Kind: 9}, "not known"},
		{Label{Serial: 1, Kind: End, Cause: call.UserBusy}, ""},
		{Label{Serial: 1, Kind: Connect, Number: "2001"}, ""},
		{Label{Serial: 1, Kind: Connect, Number: "+49*1#A"}, ""},
		{Label{Serial: 1, Kind: Connect}, `"" is no number`},
		{Label{Serial: 1, Kind: Connect, Number: "2001@evil"}, "is no number"},
		{Label{Serial: 1, Kind: Connect, Number: "1", Calling: "x"}, "is no calling number"},
		{Label{Serial: 1, Kind: Connect, Number: "1", NoAnswer: -1}, "may ring"},
		{Label{Serial: 1, Kind: Treat}, "0 steps"},
		{Label{Serial: 1, Kind: Treat, Steps: make([]Play, MaxSteps+1)}, "65 steps"},
		{Label{Serial: 1, Variables: map[string]string{"1x": ""}}, "is no name"},
		{Label{Serial: 1, Variables: map[string]string{"x": strings.Repeat("x", MaxValue+1)}}, "1025 octets"},
		{treat(Play{Prompts: hello}), ""},
		{treat(Play{}), "step 1 (say): it has nothing"},
		{treat(Play{Kind: 9}), "not known"},
		{treat(Play{Prompts: []Prompt{{}}}), "prompt 1: expected a text"},
		{treat(Play{Prompts: []Prompt{{Text: "a", Audio: "b"}}}), "prompt 1: expected a text"},
		{treat(Play{Prompts: []Prompt{{Text: strings.Repeat("x", MaxText+1)}}}), "4097 octets"},
		{treat(Play{Prompts: []Prompt{{Audio: "file:///etc/passwd"}}}), "is no http"},
		{treat(Play{Prompts: []Prompt{{Audio: "https:///x"}}}), "is no http"},
		{treat(Play{Prompts: []Prompt{{Audio: "../x"}}}), "is no name"},
		{treat(Play{Prompts: []Prompt{{Audio: "https://a.example/x.wav"}}}), ""},
		{treat(Play{Prompts: make([]Prompt, MaxPrompts+1)}), "33 prompts"},
		{treat(Play{Kind: Menu, Variable: "x", Choices: []Choice{{"1", "a"}, {"2", ""}}}), ""},
		{treat(Play{Kind: Menu, Variable: "x"}), "0 choices"},
		{treat(Play{Kind: Menu, Choices: []Choice{{"1", "a"}}}), "is no variable"},
		{treat(Play{Kind: Menu, Variable: "x", Choices: []Choice{{"1", "a"}, {"1", "b"}}}), "both for key 1"},
		{treat(Play{Kind: Menu, Variable: "x", Choices: []Choice{{"A", "a"}}}), "cannot be pressed"},
		{treat(Play{Kind: Digits, Variable: "x"}), ""},
		{treat(Play{Kind: Digits, Variable: "x", Min: 4}), ""},
		{treat(Play{Kind: Digits, Variable: "x", Min: 4, Max: 3}), "4 to 3 digits"},
		{treat(Play{Kind: Digits, Variable: "x", Max: 65}), "1 to 65 digits"},
		{treat(Play{Kind: Digits, Variable: "x", End: "##"}), "is no key"},
		{treat(Play{Kind: Digits, Variable: "x", End: NoEnd}), ""},
		{treat(Play{Kind: Digits, Variable: "x", Timeout: time.Hour}), "would wait"},
		{treat(Play{Kind: Digits, Variable: "x", Tries: 11}), "11 tries"},
		{treat(Play{Kind: Digits, Variable: strings.Repeat("x", 61)}), "too long"},
		{treat(Play{Kind: Music}), ""},
		{treat(Play{Kind: Music, For: 25 * time.Hour}), "music for 25h"},
		{treat(Play{Kind: Music, Source: "a\\b"}), "is no name"},
		{treat(Play{Kind: Record, Variable: "x", For: time.Hour}), "a recording of 1h"},
	}
	for _, r := range rows {
		err := r.label.Check()
		if r.wrong == "" && err != nil || r.wrong != "" && (err == nil || !strings.Contains(err.Error(), r.wrong)) {
			t.Errorf("%+v: %v, expected %q", r.label, err, r.wrong)
		}
	}
}

// TestBounds: as many variables as may be, of the largest size, are taken, and not one more.
func TestBounds(t *testing.T) {
	v := map[string]string{}
	for i := range MaxVariables {
		v[strings.Repeat("v", MaxName-2)+string(rune('a'+i/10))+string(rune('0'+i%10))] = strings.Repeat("x", MaxValue)
	}
	if err := CheckVariables(v); err != nil {
		t.Fatal(err)
	}
	v["one_more"] = ""
	if err := CheckVariables(v); err == nil {
		t.Error("a call has more variables than it may")
	}
}

// TestJoinCheck: one mistake per row.
func TestJoinCheck(t *testing.T) {
	rows := []struct {
		join  Join
		wrong string
	}{
		{Join{Number: "2009"}, ""},
		{Join{Number: "+49*1#", Calling: "800", Mode: call.JoinTalk, NoAnswer: MaxJoin}, ""},
		{Join{}, `"" is no number`},
		{Join{Number: "2009@evil"}, "is no number"},
		{Join{Number: strings.Repeat("1", MaxName+1)}, "is no number"},
		{Join{Number: "1", Calling: "x"}, "is no calling number"},
		{Join{Number: "1", Mode: 2}, "mode 2 of a join is not known"},
		{Join{Number: "1", NoAnswer: -1}, "may ring"},
		{Join{Number: "1", NoAnswer: MaxJoin + 1}, "may ring up to 2m0s"},
	}
	for _, r := range rows {
		err := r.join.Check()
		if r.wrong == "" && err != nil || r.wrong != "" && (err == nil || !strings.Contains(err.Error(), r.wrong)) {
			t.Errorf("%+v: %v, expected %q", r.join, err, r.wrong)
		}
	}
}
