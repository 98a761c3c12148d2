package rights

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// The conditions of the certificate. A user may have several instances: a condition is met when one instance has come so far and meets it,
// and what is told of a failure is told of those that had come so far.

// stages are what an instance has to pass, in order; each says what is wrong, and how to mend it.
var stages = [...]func(*Facts, *Instance) (wrong, fix string){
	func(f *Facts, i *Instance) (string, string) { // issued
		if i.Issued {
			return "", ""
		}
		who := f.User + "/" + i.ID
		switch {
		case i.Locked:
			return fmt.Sprintf("instance %s has no certificate, and its enrolment is locked after wrong authorization strings", i.ID), "locktone capf profile reset " + who
		case strings.Contains(i.Status, "Pending"):
			return fmt.Sprintf("instance %s has not fetched its certificate yet (%s)", i.ID, i.Status), "have the application fetch it with its authorization string: locktone tsp fetch-certificate"
		}
		return fmt.Sprintf("instance %s has no certificate (%s)", i.ID, cmp.Or(i.Status, "None")), fmt.Sprintf("locktone capf profile create --user %s --instance %s, then have the application fetch it", f.User, i.ID)
	},
	func(f *Facts, i *Instance) (string, string) { // in time
		switch {
		case f.Now.After(i.NotAfter):
			return fmt.Sprintf("the certificate of instance %s expired on %s", i.ID, i.NotAfter.UTC().Format(time.RFC3339)), renew(f, i)
		case f.Now.Before(i.NotBefore):
			return fmt.Sprintf("the certificate of instance %s is not valid before %s", i.ID, i.NotBefore.UTC().Format(time.RFC3339)), "set the clocks of the nodes"
		}
		return "", ""
	},
	func(f *Facts, i *Instance) (string, string) { // not revoked
		if i.Revoked == "" {
			return "", ""
		}
		return fmt.Sprintf("the certificate of instance %s is revoked: %s", i.ID, i.Revoked), renew(f, i)
	},
	func(f *Facts, i *Instance) (string, string) { // verifies
		if i.Unverified == "" {
			return "", ""
		}
		return fmt.Sprintf("the certificate of instance %s does not verify any more: %s", i.ID, i.Unverified), renew(f, i)
	},
	func(f *Facts, i *Instance) (string, string) { // not compromised
		if i.Compromised == "" {
			return "", ""
		}
		return fmt.Sprintf("the certificate of instance %s is marked as compromised: %s", i.ID, i.Compromised),
			renew(f, i) + "; or, where its key was not copied, locktone cti trust " + f.User + "/" + i.ID
	},
}

func renew(f *Facts, i *Instance) string {
	return fmt.Sprintf("locktone capf profile create --user %s --instance %s, then have the application fetch another certificate", f.User, i.ID)
}

// passing are the instances that pass the first n stages.
func passing(f *Facts, n int) (out []*Instance) {
	for i := range f.Enrolment.Instances {
		x := &f.Enrolment.Instances[i]
		ok := f.Instance == "" || f.Instance == x.ID
		for _, stage := range stages[:n] {
			wrong, _ := stage(f, x)
			ok = ok && wrong == ""
		}
		if ok {
			out = append(out, x)
		}
	}
	return out
}

// stage is the verdict of stage n.
func stage(f *Facts, n int, fine string) found {
	if no, ok := withoutInstance(f); ok {
		return no
	}
	had := passing(f, n)
	if len(had) == 0 {
		return unknown("there is no certificate to look at")
	}
	if got := passing(f, n+1); len(got) > 0 {
		return met("the certificate of instance %s %s", got[0].ID, fine)
	}
	var wrong []string
	fix := ""
	for _, i := range had {
		w, x := stages[n](f, i)
		wrong = append(wrong, w)
		if fix == "" {
			fix = x
		}
	}
	return failed(fix, "%s", strings.Join(wrong, "; "))
}

// withoutInstance is the verdict where certificates do not matter, or nothing is known of them.
func withoutInstance(f *Facts) (found, bool) {
	switch {
	case !f.secure():
		return irrelevant("the port without TLS asks for no certificate"), true
	case f.user() == nil:
		return unknown("there is no such user"), true
	case f.Enrolment == nil:
		return unknown("the enrolment profiles were not looked at"), true
	}
	return found{}, false
}

func instanceKnown(f *Facts) found {
	if no, ok := withoutInstance(f); ok {
		return no
	}
	got := passing(f, 0)
	switch {
	case len(got) == 0 && f.Instance != "":
		return failed(fmt.Sprintf("locktone capf profile create --user %s --instance %s", f.User, f.Instance), "user %s has no CAPF profile for instance %s", f.User, f.Instance)
	case len(got) == 0:
		return failed(fmt.Sprintf("locktone capf profile create --user %s --instance ID, and give the id and its string to the application", f.User), "user %s has no CAPF profile: no instance of it can get a certificate", f.User)
	}
	ids := make([]string, len(got))
	for i, x := range got {
		ids[i] = x.ID
	}
	return met("user %s has instances: %s", f.User, strings.Join(ids, ", "))
}

func certificateIssued(f *Facts) found         { return stage(f, 0, "was fetched") }
func certificateInTime(f *Facts) found         { return stage(f, 1, "has not expired") }
func certificateNotRevoked(f *Facts) found     { return stage(f, 2, "is not revoked") }
func certificateVerifies(f *Facts) found       { return stage(f, 3, "verifies") }
func certificateNotCompromised(f *Facts) found { return stage(f, 4, "is not marked as compromised") }
