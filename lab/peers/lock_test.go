package peers

import (
	"context"
	"testing"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/lab/phone"
	"github.com/locktone/locktone/pki"
)

// lockScenes are about what the lock icon says, and that it is true.
func lockScenes() []scene {
	return []scene{
		{name: "lock icon: encrypted, and with a party in clear", cast: "lock-a lock-b lock-c", play: lockIcon, setup: func(st *stage, c *config.Site) {
			c.Cluster.MixedCalls = config.MixedWarn
			c.PhoneSecurityProfiles = append(c.PhoneSecurityProfiles, config.PhoneSecurityProfile{Name: "authenticated", DeviceSecurityMode: config.Authenticated})
			st.device(c, "lock-b").PhoneSecurityProfile = "authenticated"
		}},
	}
}

// lockIcon: a phone is shown that its call with a baresip is encrypted; that one with a baresip without SRTP is not, while the phone
// itself uses SRTP and hears the other one; and that a conference is as weak as its weakest leg.
func lockIcon(t *testing.T, ctx context.Context, st *stage) {
	a := st.soft(t, ctx, "lock-a", 440, true)
	f := st.certificate(t, pki.KindDevice, "lock-b")
	b, err := StartBaresip(ctx, folder(t, "lock-b"), BaresipConfig{User: "lock-b", Domain: "locktone.test", Proxy: st.addr, Certificate: f.both, CA: f.ca,
		Tone: makeTone(t, 600, 60), Encryption: "none"})
	must(t, err)
	t.Cleanup(b.Stop)
	must(t, b.Registered(ctx))
	c := st.phone(t, ctx, "lock-c", nil)

	secure := calls(t, ctx, c, st.number("lock-a"), 1000)
	must(t, secure.WaitLock(ctx, phone.LockEncrypted))
	hears(t, ctx, secure, []float64{440})
	must(t, secure.Hold(ctx))

	must(t, b.Dial(c.Number()))
	mixed := takes(t, ctx, c, 1000)
	must(t, mixed.WaitLock(ctx, phone.LockAuthenticated))
	hears(t, ctx, mixed, []float64{600})
	if e := mixed.Evidence(); e.Suite == "" || e.TxAuth == 0 {
		t.Errorf("the encrypted phone of a mixed call does not use SRTP: %+v", e)
	}
	must(t, mixed.Hold(ctx))

	all := calls(t, ctx, c, "*30", 1000)
	hears(t, ctx, all, []float64{440, 600})
	must(t, all.WaitLock(ctx, phone.LockAuthenticated))
	must(t, b.Command("hangup", "")) // the weakest leaves: what is left is encrypted again
	must(t, all.WaitLock(ctx, phone.LockEncrypted))
	hears(t, ctx, all, []float64{440}, 600)
	must(t, all.Hangup(ctx))
	event(t, ctx, a, 0, "CALL_CLOSED")
}
