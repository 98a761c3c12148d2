package config

import (
	"fmt"
	"reflect"
	"strings"
)

// copies gives every phone security profile with copyOf the values of its base
// and then its own fields on top. It works on the YAML tree, where a field that
// was given differs from one that was left out.
func (d *decoder) copies(s *Site) {
	r := &copier{d: d, profiles: s.PhoneSecurityProfiles, state: make([]uint8, len(s.PhoneSecurityProfiles))}
	for i := range r.profiles {
		r.resolve(i)
	}
	for i := range r.profiles {
		r.profiles[i].CopyOf = ""
	}
}

type copier struct {
	d        *decoder
	profiles []PhoneSecurityProfile
	state    []uint8 // 0 untouched, 1 being resolved, 2 done
}

func (r *copier) resolve(i int) {
	p := &r.profiles[i]
	if r.state[i] != 0 || p.CopyOf == "" {
		return
	}
	r.state[i] = 1
	defer func() { r.state[i] = 2 }()
	path := fmt.Sprintf("phoneSecurityProfiles[%d]", i)
	base := r.find(p.CopyOf)
	switch {
	case base < 0:
		r.d.fail(path+".copyOf", fmt.Sprintf("there is no phone security profile %q", p.CopyOf), suggest(p.CopyOf, r.names(), "known are"))
		return
	case r.state[base] == 1:
		r.d.fail(path+".copyOf", fmt.Sprintf("profiles copy each other in a circle (%s, %s)", p.Name, p.CopyOf), "give one of them its own values")
		return
	}
	r.resolve(base)
	merged := r.profiles[base]
	merged.Description = ""
	again := newDecoder(r.d.file) // mistakes were reported the first time
	again.value(r.d.nodes[path], reflect.ValueOf(&merged).Elem(), path)
	*p = merged
}

func (r *copier) find(name string) int {
	for i := range r.profiles {
		if r.profiles[i].Name == name {
			return i
		}
	}
	return -1
}

func (r *copier) names() []string {
	out := make([]string, len(r.profiles))
	for i := range out {
		out[i] = r.profiles[i].Name
	}
	return out
}

// MinPassword is the shortest password a file may give, in bytes.
const MinPassword = 8

// passwords turns the passwords of the file into verifiers. One that the
// current site accepts keeps its hash.
func (d *decoder) passwords(s, current *Site) {
	known := map[string]User{}
	if current != nil {
		for _, u := range current.Users {
			known[u.Name] = u
		}
	}
	realm := s.Cluster.WithDefaults().Domain
	for i := range s.Users {
		u, was := &s.Users[i], known[s.Users[i].Name]
		path := fmt.Sprintf("users[%d]", i)
		if plain, ok := d.plain[path+".password"]; ok {
			u.Password = d.password(path+".password", plain, was.Password)
		}
		if plain, ok := d.plain[path+".digestCredential"]; ok {
			u.DigestCredential = d.digest(path+".digestCredential", plain, u.Name, realm, was.DigestCredential)
		}
	}
	d.trunkPasswords(s, current)
	d.ldapPasswords(s, current)
}

// trunkPasswords does the same with what trunks answer challenges with.
func (d *decoder) trunkPasswords(s, current *Site) {
	known := map[string]DigestVerifier{}
	if current != nil {
		for _, t := range current.SIPTrunks {
			known[t.Name] = t.DigestPassword
		}
	}
	for i := range s.SIPTrunks {
		t, path := &s.SIPTrunks[i], fmt.Sprintf("sipTrunks[%d].digestPassword", i)
		if plain, ok := d.plain[path]; ok && t.DigestUser != "" && t.DigestRealm != "" {
			t.DigestPassword = d.digest(path, plain, t.DigestUser, t.DigestRealm, known[t.Name])
		}
	}
}

func (d *decoder) password(path, plain string, was Verifier) Verifier {
	switch {
	case plain == Redacted && !was.IsZero():
		return was
	case strings.HasPrefix(plain, "$argon2id$"):
		v, err := ParseVerifier(plain)
		if err != nil {
			d.fail(path, "the hash cannot be read: "+err.Error(), "make it with `locktone hash`, or give the password")
		}
		return v
	case !d.longEnough(path, plain) || len(d.errs) > 0: // hashing takes time, and this file is refused anyway
		return Verifier{}
	case was.Verify(plain):
		return was
	}
	return NewVerifier(plain)
}

func (d *decoder) digest(path, plain, user, realm string, was DigestVerifier) DigestVerifier {
	switch {
	case plain == Redacted && !was.IsZero():
		return was
	case strings.HasPrefix(plain, "$digest$"):
		v, err := ParseDigestVerifier(plain)
		if err != nil {
			d.fail(path, "the hash cannot be read: "+err.Error(), "give the password instead")
		} else if u, r, _, _ := v.HA1(); u != user || r != realm {
			d.fail(path, fmt.Sprintf("the hash is for user %q in realm %q", u, r), fmt.Sprintf("expected %q in %q; give the password to have it hashed again", user, realm))
		}
		return v
	case !d.longEnough(path, plain):
		return DigestVerifier{}
	}
	return NewDigestVerifier(user, realm, plain)
}

func (d *decoder) longEnough(path, plain string) bool {
	if plain == Redacted {
		d.fail(path, "the password is redacted and no earlier one is known", "give the password or its hash")
		return false
	}
	if len(plain) < MinPassword {
		d.fail(path, "the password is too short", fmt.Sprintf("at least %d characters are needed", MinPassword))
		return false
	}
	return true
}
