package provisioning_test

import (
	"io"
	"net/http"
	"testing"
)

// BenchmarkBoot is what one phone costs when a building's power comes back: its two lists and its signed configuration, over one
// connection.
func BenchmarkBoot(b *testing.B) {
	s := newSite(b)
	p := s.start()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	for b.Loop() {
		for _, name := range []string{"CTL" + sep + ".tlv", "ITL" + sep + ".tlv", sep + ".cnf.xml.sgn"} {
			res := must((&http.Client{Transport: tr}).Get("http://" + p.HTTP().String() + "/" + name))(b)
			if n, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK || n < 1000 {
				b.Fatal(res.Status, n, err)
			}
			res.Body.Close()
		}
	}
}
