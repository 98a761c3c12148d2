package lists

import (
	"fmt"
	"testing"

	"github.com/locktone/locktone/store"
	"github.com/locktone/locktone/wire/trustlist"
)

// BenchmarkFor is what serving a list to a phone costs beside sending it: choosing the variant, and noting the fetch.
func BenchmarkFor(b *testing.B) {
	s := newSite(b)
	db := must(store.Open(b.Context(), b.TempDir()+"/site.db", store.Options{}))(b)
	defer db.Close()
	s.all(1)
	s.publish()
	for _, key := range []string{"ctl", "itl"} { // what was published, on the real store
		for _, prefix := range []string{"current/" + key, "version/" + key, "file/" + key} {
			for _, d := range must(s.docs.List(b.Context(), prefix))(b) {
				must(db.Documents(Collection).PutAll(b.Context(), []store.Write{{Key: d.Key, Value: d.Value, IfRevision: store.AnyRevision}}))(b)
			}
		}
	}
	holdings := OpenHoldings(db.Documents(HoldingsCollection), HoldingsConfig{})
	reader := NewReader(db.Documents(Collection), holdings)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		device := fmt.Sprintf("SEP%012d", n%10_000)
		n++
		f, err := reader.For(b.Context(), device, trustlist.CTL)
		if err != nil || f.Doubt != "" {
			b.Fatal(err, f.Doubt)
		}
		holdings.Fetched(Fetch{Device: device, Kind: trustlist.CTL, Version: f.Version, Signer: f.Signer})
	}
	b.StopTimer()
	if err := holdings.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
}
