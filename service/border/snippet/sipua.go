package snippet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/locktone/locktone/config"
)

// border is the site's border of all nodes, to be changed.
func (r *reader) border() *config.Border {
	for i := range r.site.Borders {
		if r.site.Borders[i].Name == "default" {
			return &r.site.Borders[i]
		}
	}
	r.site.Borders = append(r.site.Borders, config.Border{Name: "default"})
	return &r.site.Borders[len(r.site.Borders)-1]
}

func (r *reader) transportTLS(args []string) outcome {
	if len(args) == 0 {
		return did("TLS: always on")
	}
	switch v := strings.ToLower(args[0]); {
	case len(args) > 2 || len(args) == 2 && !keyword(args[1], "minimum"):
		return bad("expected transport tcp tls v1.2 or v1.3")
	case v == "v1.2":
		return did("TLS 1.2 at least; 1.3 is spoken with peers that can")
	case v == "v1.3":
		return did("TLS 1.3 with peers that can, else 1.2")
	case v == "v1.0" || v == "v1.1":
		return bad("TLS %s is broken and not offered: write transport tcp tls v1.2", v[1:])
	}
	return bad("%q is no version of TLS: write transport tcp tls v1.2", args[0])
}

// trustpoint is a trustpoint of the site, made when it is not there.
func (r *reader) trustpoint(word string) (*config.Trustpoint, error) {
	n, err := name(word)
	if err != nil {
		return nil, err
	}
	for i := range r.site.Trustpoints {
		if r.site.Trustpoints[i].Name == n {
			return &r.site.Trustpoints[i], nil
		}
	}
	r.site.Trustpoints = append(r.site.Trustpoints, config.Trustpoint{Name: n})
	return &r.site.Trustpoints[len(r.site.Trustpoints)-1], nil
}

// options reads what may stand behind the name of a trustpoint.
func options(args []string) (says string, err error) {
	for i := 0; i < len(args); i++ {
		switch w := strings.ToLower(args[i]); {
		case keyword(w, "cn-san-validate") && i+1 < len(args):
			i++
			says += "; names are verified in both directions anyway"
		case keyword(w, "client-vtp") && i+1 < len(args):
			i++
			says += "; client-vtp " + args[i] + " is not looked at: the same authorities verify both directions"
		case keyword(w, "strict-cipher"), keyword(w, "ecdsa-cipher"), w == "curve-size":
			says += "; " + w + " is not looked at: only strong ciphers are offered"
			if w == "curve-size" {
				i++
			}
		default:
			return "", fmt.Errorf("%q behind the trustpoint is not known", args[i])
		}
	}
	return says, nil
}

func (r *reader) remoteTrustpoint(args []string) outcome {
	more, err := options(args[3:])
	if err != nil {
		return bad("%v", err)
	}
	out := r.remote(args[0], args[1], args[2])
	out.says += more
	return out
}

// remote gives an address or network to a trustpoint, taking it from another.
func (r *reader) remote(address, mask, trustpoint string) outcome {
	n, err := network(address, mask)
	if err != nil {
		return bad("%v", err)
	}
	t, err := r.trustpoint(trustpoint)
	if err != nil {
		return bad("trustpoint %v", err)
	}
	r.forget(n)
	t.RemoteAddresses = append(t.RemoteAddresses, n)
	return did("trustpoint %s verifies TLS connections from and to %s", t.Name, n)
}

// forget takes a network from every trustpoint.
func (r *reader) forget(n string) (was string) {
	for i := range r.site.Trustpoints {
		t := &r.site.Trustpoints[i]
		if at := slices.Index(t.RemoteAddresses, n); at >= 0 {
			t.RemoteAddresses, was = slices.Delete(slices.Clone(t.RemoteAddresses), at, at+1), t.Name
		}
	}
	return was
}

func (r *reader) noRemoteTrustpoint(args []string) outcome {
	n, err := network(args[0], args[1])
	if err != nil {
		return bad("%v", err)
	}
	if was := r.forget(n); was != "" {
		return did("trustpoint %s is not for %s any more", was, n)
	}
	return skip("no trustpoint is for %s", n)
}

func (r *reader) defaultTrustpoint(args []string) outcome {
	more, err := options(args[1:])
	if err != nil {
		return bad("%v", err)
	}
	out := r.makeDefault(args[0])
	out.says += more
	return out
}

func (r *reader) makeDefault(word string) outcome {
	t, err := r.trustpoint(word)
	if err != nil {
		return bad("trustpoint %v", err)
	}
	for i := range r.site.Trustpoints {
		r.site.Trustpoints[i].Default = false
	}
	t.Default = true
	return did("trustpoint %s verifies every other TLS connection", t.Name)
}

func (r *reader) noDefaultTrustpoint([]string) outcome {
	for i := range r.site.Trustpoints {
		r.site.Trustpoints[i].Default = false
	}
	return did("there is no default trustpoint: any authority trusted for trunks will do")
}

func (r *reader) remoteProfile(args []string) outcome {
	return r.withProfile(args[2], func(t string) outcome { return r.remote(args[0], args[1], t) })
}

func (r *reader) defaultProfile(args []string) outcome {
	return r.withProfile(args[0], r.makeDefault)
}

// withProfile does something with the trustpoint of a TLS profile, when the whole text has been read.
func (r *reader) withProfile(class string, do func(trustpoint string) outcome) outcome {
	return r.refer(func() outcome {
		p, ok := r.classes.tls[class]
		if !ok || p.trustpoint == "" {
			return bad("there is no voice class tls-profile %s with a trustpoint in the text", class)
		}
		out := do(p.trustpoint)
		if t, err := r.trustpoint(p.trustpoint); err == nil && len(p.names) > 0 && out.verdict == Understood {
			t.AcceptedSubjects = slices.Clone(p.names)
			out.says += ", with the names " + strings.Join(p.names, ", ")
		}
		return out
	})
}

// refer answers a line when the whole text has been read.
func (r *reader) refer(f func() outcome) outcome {
	at := len(r.lines) - 1
	r.later = append(r.later, func() {
		out := f()
		r.lines[at].Verdict, r.lines[at].Says = out.verdict, clean(out.says)
	})
	return outcome{}
}

func (r *reader) setSIPServer(args []string) outcome {
	t, err := target(args[0])
	if err != nil {
		return bad("%v", err)
	}
	r.sipServer = &t
	return did("session target sip-server means %s", args[0])
}

func (r *reader) timerTrying(args []string) outcome {
	n, err := number(args[0], 100, 1000)
	if err != nil {
		return bad("%v milliseconds", err)
	}
	r.border().SIPUA.Timers.T1 = config.Duration(time.Duration(n) * time.Millisecond)
	return did("T1 is %d ms", n)
}

func (r *reader) trusted(args []string) outcome {
	n, err := network(args[1], mask(args))
	if err != nil {
		return bad("%v", err)
	}
	if b := r.border(); !slices.Contains(b.TrustedAddresses, n) {
		b.TrustedAddresses = append(b.TrustedAddresses, n)
	}
	return did("%s may send calls without TLS to dial-peers that have no target: an exception", n)
}

func (r *reader) untrusted(args []string) outcome {
	n, err := network(args[1], mask(args))
	if err != nil {
		return bad("%v", err)
	}
	b := r.border()
	at := slices.Index(b.TrustedAddresses, n)
	if at < 0 {
		return skip("%s is not in the list", n)
	}
	b.TrustedAddresses = slices.Delete(slices.Clone(b.TrustedAddresses), at, at+1)
	return did("%s may not send calls without TLS any more", n)
}

// mask is the mask behind an address, or that of one address.
func mask(args []string) string {
	switch {
	case len(args) > 2:
		return args[2]
	case args[0] == "ipv6":
		return "128"
	}
	return "32"
}

func (r *reader) localhost(args []string) outcome {
	host, ok := strings.CutPrefix(strings.ToLower(args[0]), "dns:")
	if !ok || !hostShape.MatchString(host) {
		return bad("expected localhost dns:NAME")
	}
	r.border().SIPUA.LocalDomain = host
	return did("peers see %s as the host of our addresses", host)
}

func (r *reader) minSE(args []string) outcome {
	low, err := number(args[0], 90, 86400)
	if err != nil {
		return bad("min-se: %v seconds", err)
	}
	st := &r.border().SIPUA.SessionTimer
	st.Min = config.Duration(time.Duration(low) * time.Second)
	if len(args) == 1 {
		st.Expires = max(st.Expires, st.Min)
		return did("a session timer of %d s at least", low)
	}
	if len(args) != 3 || !keyword(args[1], "session-expires") {
		return bad("expected min-se SECONDS session-expires SECONDS")
	}
	n, err := number(args[2], low, 86400)
	if err != nil {
		return bad("session-expires: %v seconds", err)
	}
	st.Expires = config.Duration(time.Duration(n) * time.Second)
	return did("a session timer of %d s, %d s at least", n, low)
}
