package bus

import (
	"encoding/json"
	"reflect"
	"testing"
)

// TestLaterVersions: what nodes say to each other is read by programs that are older: fields they do not know are passed over, in every
// value of requests, answers and facts, and what they know is understood.
func TestLaterVersions(t *testing.T) {
	for _, v := range []any{Registration{Device: "d"}, TrunkState{Trunk: "t"}, ServiceStatus{Service: "s"}, DrainState{Node: "n"}, DrainRequest{Actor: "a"}, Query{Name: "q"},
		Fact{Owner: "n1", Kind: "k", Key: "x", Claim: 7}} {
		plain, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var later map[string]any
		if err := json.Unmarshal(plain, &later); err != nil {
			t.Fatal(err)
		}
		later["tomorrow"], later["Tomorrow"] = map[string]any{"a": []int{1}}, "x"
		text, _ := json.Marshal(later)
		back := reflect.New(reflect.TypeOf(v))
		if err := json.Unmarshal(text, back.Interface()); err != nil || !reflect.DeepEqual(back.Elem().Interface(), v) {
			t.Errorf("%T: %+v became %+v (%v)", v, v, back.Elem().Interface(), err)
		}
	}
}
