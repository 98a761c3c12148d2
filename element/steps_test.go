package element

import (
	"encoding/json"
	"testing"
)

func TestAppendJSON(t *testing.T) {
	all := make([]byte, 0, 400)
	for c := range 128 {
		all = append(all, byte(c))
	}
	for _, text := range []string{"", "plain", "two\nlines\t\"quoted\" \\ back", string(all), "Grüße <&>", "broken \xff\xfe end"} {
		var got, want string
		b := appendJSON([]byte(`x`), []byte(text))
		if err := json.Unmarshal(b[1:], &got); err != nil {
			t.Errorf("%q: %v in %s", text, err, b)
		}
		ref, _ := json.Marshal(text)
		_ = json.Unmarshal(ref, &want)
		if got != want {
			t.Errorf("%q came back as %q", text, got)
		}
	}
}
