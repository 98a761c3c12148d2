package ctimanager

import (
	"testing"
	"time"

	"github.com/locktone/locktone/config"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// TestLogin: the whole way, in the order of the field: the response before the login is checked, the event when it is.
func TestLogin(t *testing.T) {
	k := newKit(true)
	expect(t, "init", k.say(&ctiqbe.ProviderInitRequest{Provider: "cti.example"}),
		`< ProviderInitResponse SequenceNumber=1 ProviderInfo="15.0.1.10000-1" PluginVersion="15.0(0.10000)-1" ProviderID=16777223 Nonce="nonce-of-36-characters-xxxxxxxxxxxxxx" Certificate="certificate"`)
	expect(t, "open", k.say(&ctiqbe.ProviderOpenRequest{Login: "app", DesiredServerHeartbeatTime: 60, RequestTimer: 10}),
		`< ProviderOpenResponse SequenceNumber=2 ProviderInfoString="15.0.1.10000-1" ClientHeartbeat=60 ServerHeartbeat=60 RequestTimer=10`, "do ctimanager.checkLogin")
	expect(t, "too early", k.say(&ctiqbe.ProviderGetCapabilitiesInfoRequest{}), "< FailureResponse SequenceNumber=3 Result=PROVIDER_NOT_OPEN")
	expect(t, "twice", k.say(&ctiqbe.ProviderOpenRequest{Login: "app"}), "< FailureResponse SequenceNumber=4 Result=PROVIDER_ALREADY_OPEN")
	expect(t, "password", k.answer(checkedLogin{user: "app", days: 12}, nil), "do ctimanager.checkCertificate")
	expect(t, "certificate", k.answer((*refusal)(nil), nil), "opened{}",
		`< ProviderOpenCompletedEvent SequenceNumber=2 ProviderInfoString="15.0.1.10000-1" ClientHeartbeat=60 ServerHeartbeat=60 ProviderID=16777223 LoginUserName="app" DaysUntilPasswordExpiry=12 TotalControllableDevices=2 ClusterID="locktone"`)
	expect(t, "capabilities", k.say(&ctiqbe.ProviderGetCapabilitiesInfoRequest{}),
		"< ProviderGetCapabilitiesInfoResponse SequenceNumber=5 ProviderCapabilitiesInfo={MaxNumberOfDevicesOpen=2000 CanAutoPickup=true}")
	expect(t, "close", k.say(&ctiqbe.ProviderCloseRequest{}), "< ProviderCloseResponse SequenceNumber=6", "finish{}")
	expect(t, "after", k.say(&ctiqbe.ProviderGetCapabilitiesInfoRequest{}))
}

// TestLoginRefused: each refusal has its value, in PROVIDER_OPEN_COMPLETED, and then the provider is closed.
func TestLoginRefused(t *testing.T) {
	group := func(gs ...config.Group) func(*config.Site) {
		return func(c *config.Site) { c.Users[len(c.Users)-1].Groups = gs }
	}
	closed := []string{"< ProviderClosedEvent Reason=", "finish{}"}
	for name, c := range map[string]struct {
		clear  bool
		change func(*config.Site)
		login  ctiqbe.ProviderOpenRequest
		check  checkedLogin
		cert   any
		want   string
	}{
		"wrong password":        {check: checkedLogin{refusal: refusalOf(2)}, want: "Reason=DIRECTORY_LOGIN_FAILED"},
		"no group":              {change: group(), want: "Reason=DIRECTORY_LOGIN_NOT_ALLOWED"},
		"secure user, clear":    {clear: true, want: "Reason=CTIERR_CONNECTION_ON_INVALID_PORT"},
		"clear user, secure":    {change: group(config.GroupCTIEnabled), want: "Reason=CTIERR_USER_NOT_AUTH_FOR_SECURITY"},
		"disabled":              {change: func(c *config.Site) { c.Users[len(c.Users)-1].Disabled = true }, want: "Reason=CTIERR_LOGIN_FAILED_ACCOUNT_DISABLED"},
		"deleted":               {change: func(c *config.Site) { c.Users = c.Users[:len(c.Users)-1] }, want: "Reason=DIRECTORY_LOGIN_FAILED"},
		"single sign-on":        {login: ctiqbe.ProviderOpenRequest{AuthenticationType: 1}, want: "Reason=CTIERR_SSO_DISABLED"},
		"unknown kind of login": {login: ctiqbe.ProviderOpenRequest{AuthenticationType: 9}, want: "Reason=CTIERR_INVALID_AUTHENTICATION_TYPE"},
		"another's certificate": {cert: &refusal{result: ctiqbe.ErrInvalidCertificateUsed, why: "x"}, want: "Reason=CTIERR_INVALID_CERTIFICATE_USED"},
		"no record":             {cert: errBroken, want: "Reason=DB_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(!c.clear)
			k.change(c.change)
			k.say(&ctiqbe.ProviderInitRequest{})
			c.login.Login = "app"
			got := k.say(&c.login)
			if c.login.AuthenticationType == 0 {
				if c.check.refusal == nil {
					c.check = checkedLogin{user: "app"}
				}
				got = append([]string{""}, k.answer(c.check, nil)...)
			}
			if err, broken := c.cert.(error); broken {
				got = append([]string{""}, k.answer(nil, err)...)
			} else if c.cert != nil {
				got = append([]string{""}, k.answer(c.cert, nil)...)
			}
			expect(t, "refused", got[1:], append([]string{"< ProviderOpenCompletedEvent " + c.want}, closed...)...)
		})
	}
}

// TestLoginHeldBack: an answer that is held back comes when its time has come, and nothing else is said meanwhile.
func TestLoginHeldBack(t *testing.T) {
	k := newKit(true)
	k.say(&ctiqbe.ProviderInitRequest{})
	k.say(&ctiqbe.ProviderOpenRequest{Login: "app"})
	k.answer(checkedLogin{user: "app"}, nil)
	expect(t, "held back", k.answer(&refusal{result: ctiqbe.ErrDuplicateCertificateUsed, why: "x", hold: 4 * time.Second}, nil))
	expect(t, "3 s", k.wait(3*time.Second))
	expect(t, "1 s more", k.wait(time.Second), "10:00:04 < ProviderOpenCompletedEvent Reason=CTIERR_DUPLICATE_CERTIFICATE_USED", "ProviderClosedEvent Reason=", "finish{}")
}

// TestLoginLate: who does not log in in time is not waited for.
func TestLoginLate(t *testing.T) {
	k := newKit(true)
	expect(t, "nothing was said", k.wait(2*time.Minute), "10:01:00 finish{}")
	k = newKit(true)
	k.say(&ctiqbe.ProviderInitRequest{})
	expect(t, "no open", k.wait(2*time.Minute), "10:01:00 < ProviderClosedEvent", "finish{}")
	k = newKit(true)
	k.say(&ctiqbe.ProviderInitRequest{})
	k.say(&ctiqbe.ProviderOpenRequest{Login: "app"})
	expect(t, "no answer", k.wait(2*time.Minute), "10:01:00 < ProviderOpenCompletedEvent Reason=CTIERR_DIRECTORY_LOGIN_TIMEOUT", "< ProviderClosedEvent", "finish{}")
}

func TestNoLogin(t *testing.T) {
	k := newKit(true)
	expect(t, "open without init", k.say(&ctiqbe.ProviderOpenRequest{Login: "app"}), "Result=NOT_INITIALIZED")
	k.p.who.full = true
	expect(t, "full", k.say(&ctiqbe.ProviderInitRequest{}), "Result=MAX_NUMBER_OF_CTI_CONNECTIONS_REACHED", "finish{}")
	k = newKit(true)
	expect(t, "a version of the future", k.step(received{message: &ctiqbe.ProviderInitRequest{SequenceNumber: 1}, header: ctiqbe.Header{PDU: ctiqbe.PDUProviderInitRequest, Version: 0x00990000}}),
		"< FailureResponse SequenceNumber=1 Result=INCOMPATIBLE_PROTOCOL_VERSION", "finish{}")
	k = newKit(true)
	expect(t, "a broken frame", k.step(received{err: errBroken, sequence: 5, header: ctiqbe.Header{PDU: 16, Version: ctiqbe.Newest}}), `< FailureResponse SequenceNumber=5 Result=ILLEGAL_MESSAGE_FORMAT Description="broken"`)
}

// TestHeartbeats: each side says something once in an interval; two without a word from the client end it.
func TestHeartbeats(t *testing.T) {
	k := newKit(true)
	k.login() // 30 s
	expect(t, "an interval", k.wait(31*time.Second), "10:00:30 < Heartbeat")
	k.say(&ctiqbe.Heartbeat{}) // at 10:00:31
	expect(t, "two intervals", k.wait(70*time.Second), "10:01:00 < Heartbeat", "10:01:30 < Heartbeat", "10:01:31 < ProviderClosedEvent Reason=HEARTBEAT_MISSED", "10:01:31 finish{}")
	for asked, want := range map[uint32]time.Duration{0: 30 * time.Second, 1: 5 * time.Second, 60: time.Minute, 1e9: time.Hour} {
		if got := k.site().params.clamp(asked); got != want {
			t.Errorf("asked for %d s: %v, want %v", asked, got, want)
		}
	}
}
