package call

import "fmt"

// enumName is the name of value n, or its number where there is none.
func enumName(names []string, n int) string {
	if n < 0 || n >= len(names) {
		return fmt.Sprintf("%d", n)
	}
	return names[n]
}

// enumValue finds the value of a name; kind is what the error calls it.
func enumValue(kind string, names []string, b []byte) (int, error) {
	for i, n := range names {
		if n == string(b) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("call: %q is no %s; expected one of %q", b, kind, names)
}
