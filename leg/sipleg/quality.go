package sipleg

import (
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/wire/callstat"
	"github.com/locktone/locktone/wire/sip"
)

// What a leg's media was like, told once: by the plane where media came by here, otherwise by the phone in its BYE or in its
// answer to ours. The latter comes when the engine has let go of the leg, so these signals do not stop with it.

func (l *leg) measureHere() {
	q, ok := l.drv.cfg.Plane.Quality(media.LegID(l.id))
	if !ok {
		return
	}
	l.measured(call.Quality{By: "here", Codec: q.Codec, Sent: q.Sent, Received: q.Received, Lost: q.Lost, Jitter: q.Jitter, MOS: q.MOS})
}

func (l *leg) measuredThere(m *sip.Message) {
	if m == nil {
		return
	}
	r, ok := callstat.Parse(m.Header(callstat.RxStat), m.Header(callstat.TxStat), m.Header(callstat.RTPStat))
	if !ok {
		return
	}
	q := call.Quality{By: "phone", Codec: r.Codec, Sent: r.Sent, Received: r.Received, Lost: r.Lost, Jitter: r.Jitter, MOS: r.MOS}
	if q.Codec == "" {
		q.Codec = l.codec
	}
	if expected := q.Lost + q.Received; q.MOS == 0 && q.Received > 0 {
		q.MOS = media.MOS(q.Codec, float64(q.Lost)/float64(expected), time.Duration(q.Jitter*float64(time.Millisecond)))
	}
	l.measured(q)
}

func (l *leg) measured(q call.Quality) {
	if !l.weighed {
		l.weighed = true
		_ = l.drv.cfg.Engine.Signal(call.Measured{Leg: l.id, Quality: q}) // an engine that is gone keeps no records
	}
}
