package dialog

import (
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/wire/sip"
)

// Session timers (RFC 4028). One side refreshes at half the interval; when no refresh comes, both give the session up.
// That is how a phone that vanished in mid-call is noticed.
//
//	UAC supports  UAS supports  who refreshes (RFC 4028, table 2)
//	no            yes           uas
//	yes           yes           what the request says, else the choice of the UAS
//	yes           no            nobody by negotiation: we refresh ourselves (RFC 4028, 7.2)

// Refresher says who refreshes a session. The zero value leaves the choice to the negotiation.
type Refresher uint8

// The values of the refresher parameter (RFC 4028, 4).
const (
	RefresherAny Refresher = iota
	RefresherUAC
	RefresherUAS
)

// minimumSE is the lowest Session-Expires a request may ask for without Min-SE (RFC 4028, 4 and 5).
const minimumSE = 90 * time.Second

// refresherOf reads a refresher parameter.
func refresherOf(word string) Refresher {
	switch strings.ToLower(word) {
	case "uac":
		return RefresherUAC
	case "uas":
		return RefresherUAS
	}
	return RefresherAny
}

// word is the refresher parameter, "" when it is open.
func (r Refresher) word() string { return [...]string{"", "uac", "uas", ""}[r&3] }

// minSE is the peer's Min-SE, 90 s when it says none (RFC 4028, 5).
func minSE(m *sip.Message) time.Duration {
	if d, ok := m.MinSE(); ok {
		return d
	}
	return minimumSE
}

// TimerConfig is what a user agent wants of session timers. The zero value: an interval of 30 minutes, at least 90 s.
type TimerConfig struct {
	Off      bool          // never ask for a timer, never refresh; a peer that asks for one is still served
	Interval time.Duration // what we ask for; 0 = 1800 s (RFC 4028, 7.1 recommends it)
	Min      time.Duration // the least we accept; 0 = 90 s; tests may go below what RFC 4028, 5 allows on the wire
	Prefer   Refresher     // who should refresh when the choice is ours
	// Patient keeps a session whose peer cannot be asked: what nobody answers is asked again at the next interval, by either side, and only
	// a peer that answers that it does not know the dialog (481) ends the session. It is for peers whose loss leaves the media as it was.
	Patient bool
}

func (c TimerConfig) interval() time.Duration {
	if c.Interval <= 0 {
		return 1800 * time.Second
	}
	return max(c.Interval, c.min())
}

func (c TimerConfig) min() time.Duration {
	if c.Min <= 0 {
		return minimumSE
	}
	return c.Min
}

// sessionTimer is the state of one session's timer.
type sessionTimer struct {
	interval time.Duration // 0 = no timer
	ours     bool          // we refresh
	peerMin  time.Duration // the peer's Min-SE, learnt from a 422
	refresh  time.Time     // when we refresh; zero when it is not our task
	expire   time.Time     // when the session is given up
}

// ask adds the timer to a request of ours: the initial INVITE or a refresh.
func (t *sessionTimer) ask(c TimerConfig, m *sip.Message) {
	if c.Off {
		return
	}
	se := sip.SessionExpires{Interval: max(c.interval(), t.peerMin), Refresher: c.Prefer.word()}
	if t.interval > 0 {
		// RFC 4028, 7.4: a refresh keeps the refresher's role, in the roles of this request.
		se.Interval = max(t.interval, t.peerMin)
		if se.Refresher = "uas"; t.ours {
			se.Refresher = "uac"
		}
	}
	m.Set("Session-Expires", se.String())
	if low := max(c.min(), t.peerMin); low != minimumSE {
		m.Set("Min-SE", strconv.Itoa(int(low/time.Second)))
	}
}

// tooSmall tells whether a request asks for less than we accept (RFC 4028, 9): it is answered with 422 when its sender
// supports the timer.
func (t *sessionTimer) tooSmall(c TimerConfig, m *sip.Message) bool {
	se, ok := m.SessionExpires()
	return ok && se.Interval < c.min() && m.HasToken("Supported", "timer")
}

// grant decides on a request of the peer and writes the decision into its 2xx (RFC 4028, 9).
func (t *sessionTimer) grant(now time.Time, c TimerConfig, req, res *sip.Message) {
	asked, ok := req.SessionExpires()
	peer := req.HasToken("Supported", "timer")
	if !ok && c.Off {
		t.stop()
		return
	}
	interval, who := c.interval(), refresherOf(asked.Refresher)
	if req.Has("Min-SE") {
		interval = max(interval, minSE(req))
	}
	if ok { // RFC 4028, 9: the UAS may lower the interval, never raise it
		interval = max(min(interval, asked.Interval), c.min())
	}
	if who == RefresherAny {
		who = c.Prefer
	}
	if who == RefresherAny || !peer {
		who = RefresherUAS
	}
	res.Set("Session-Expires", sip.SessionExpires{Interval: interval, Refresher: who.word()}.String())
	if who == RefresherUAC {
		res.Add("Require", "timer") // RFC 4028, 9: the peer must know that it has to refresh
	}
	t.start(now, c, interval, who == RefresherUAS)
}

// taken reads the peer's decision from the 2xx to a request of ours (RFC 4028, 7.2).
func (t *sessionTimer) taken(now time.Time, c TimerConfig, res *sip.Message) {
	se, ok := res.SessionExpires()
	switch {
	case ok:
		t.start(now, c, se.Interval, refresherOf(se.Refresher) != RefresherUAS)
	case c.Off:
		t.stop()
	default: // RFC 4028, 7.2: the peer knows no timer; we may still refresh at our own interval
		t.start(now, c, max(c.interval(), t.peerMin), true)
	}
}

func (t *sessionTimer) start(now time.Time, c TimerConfig, interval time.Duration, ours bool) {
	t.interval, t.ours, t.refresh = interval, ours, time.Time{}
	if ours {
		t.refresh = now.Add(interval / 2)
	}
	// RFC 4028, 10: give up a little before the end, the lesser of 32 s and a third of the interval.
	t.expire = now.Add(interval - min(32*time.Second, interval/3))
	if c.Patient {
		if !ours {
			t.refresh = t.expire // the one whose task it is has not been heard of: does it still know the dialog?
		}
		t.expire = time.Time{}
	}
}

// due says that it is time to refresh, and when it will be again where nobody answers.
func (t *sessionTimer) due(now time.Time, c TimerConfig) bool {
	if !due(t.refresh, now) {
		return false
	}
	if t.refresh = (time.Time{}); c.Patient {
		t.refresh = now.Add(t.interval / 2)
	}
	return true
}

func (t *sessionTimer) stop() { t.interval, t.refresh, t.expire = 0, time.Time{}, time.Time{} }

// deadline is the earliest moment the timer wants to be asked again.
func (t *sessionTimer) deadline() time.Time { return earliest(t.refresh, t.expire) }

// earliest is the earlier of two moments, zero meaning never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
