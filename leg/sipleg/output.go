package sipleg

import (
	"cmp"
	"errors"
	"strconv"
	"strings"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/media"
	"github.com/locktone/locktone/media/desc"
	"github.com/locktone/locktone/wire/sip"
	"github.com/locktone/locktone/wire/sip/dialog"
	"github.com/locktone/locktone/wire/sip/endpoint"
)

// From the session to the wire and to the engine.

// output acts on one output of the session.
func (l *leg) output(o dialog.Output) {
	switch o.Kind {
	case dialog.OutRequest:
		l.stamp(o.Msg)
		l.send(o.Msg)
	case dialog.OutAck:
		l.stamp(o.Msg)
		_ = l.drv.ep.Send(o.Msg, l.to)
	case dialog.OutResponse:
		l.stamp(o.Msg)
		if tx, ok := o.Tx.(*endpoint.ServerTx); ok {
			_ = tx.Respond(o.Msg)
		}
	case dialog.OutCancel:
		l.cancel(o.Headers)
	default:
		l.event(o)
	}
}

func (l *leg) cancel(headers []dialog.Header) {
	if l.tx == nil {
		return
	}
	fields := make([]sip.Field, 0, 2)
	for _, h := range headers {
		if h.Name == "Reason" {
			fields = append(fields, sip.Field{Name: h.Name, Value: h.Value})
		}
	}
	l.tx.Cancel(fields...)
}

// event tells the engine what the session reports.
func (l *leg) event(o dialog.Output) {
	switch o.Kind {
	case dialog.EvInvite:
		l.setup(o)
	case dialog.EvProgress:
		l.progress(o)
	case dialog.EvAnswered:
		l.answered(o)
	case dialog.EvOffer:
		l.hearBeside(o.Msg)
		l.offered(o)
	case dialog.EvAgreed:
		l.hearBeside(o.Msg)
		l.agreed(o)
	case dialog.EvRefreshed:
		l.hearBeside(o.Msg)
		if o.Body != nil {
			l.changed(o.Body)
		}
	case dialog.EvRefused:
		if l.mending {
			l.mending = false
			l.drv.cfg.Plane.Rollback(media.LegID(l.id))
		}
		if l.offering {
			l.offering = false
			l.drv.cfg.Plane.Rollback(media.LegID(l.id))
			_ = l.signal(call.ReofferRejected{Leg: l.id, Cause: call.CauseFromSIP(o.Status)})
		}
	case dialog.EvResponse:
		l.responded(o)
	case dialog.EvRequest:
		l.asked(o)
	case dialog.EvEnded:
		l.ended(o)
	}
}

// progress is a provisional response to our INVITE.
func (l *leg) progress(o dialog.Output) {
	l.note(o.Msg)
	if o.Status == 180 || o.Status == 182 {
		_ = l.signal(call.Alerting{Leg: l.id, Connected: l.connected(o.Msg)})
		if o.Body == nil {
			return
		}
	}
	if o.Msg.HasToken("Require", "100rel") {
		if o.Body == nil && o.Status != 180 {
			_ = l.signal(call.Progressing{Leg: l.id})
		}
		return // its answer comes as EvAgreed
	}
	d, err := l.putAnswer(o.Body)
	if err != nil || o.Status == 180 && d.Kind == call.KindNone {
		return // an early description that cannot be used is not needed either: the 200 brings the binding one
	}
	_ = l.signal(call.Progressing{Leg: l.id, Desc: d})
}

// answered is the 2xx to our INVITE.
func (l *leg) answered(o dialog.Output) {
	l.note(o.Msg)
	l.ring, l.ways, l.again = nil, nil, nil
	l.state = legUp
	var d call.Desc
	var err error
	if o.Offer {
		d, err = l.put(call.KindOffer, o.Body)
	} else {
		d, err = l.putAnswer(o.Body)
	}
	l.heard = nil
	if err != nil {
		l.breakOff(err)
		return
	}
	said := l.hearFirst(o.Msg)
	_ = l.signal(call.Answered{Leg: l.id, Desc: d, Connected: l.connected(o.Msg), Trust: trust(l.to.Flow), Lock: said.Lock, GlobalID: said.Call})
}

// note keeps what others need to know of the dialog.
func (l *leg) note(m *sip.Message) {
	tag := l.ses.DialogID().Remote
	if old := l.remoteTag.Load(); old == nil || *old != tag {
		tag = strings.Clone(tag)
		l.remoteTag.Store(&tag)
	}
	if m.IsSuccess() {
		l.confirmed.Store(true)
	}
	if m.Has("Allow") {
		l.noInfo = !m.HasToken("Allow", "INFO")
	}
	if m.Has("Allow-Events") {
		l.talks = m.HasToken("Allow-Events", "talk")
	}
	l.noteSession(m)
}

// offered is an offer of the peer inside the session, or its wish for one.
func (l *leg) offered(o dialog.Output) {
	if o.Carrier == dialog.CarrierInvite2xx { // the outcome of a Reoffer that asked
		l.reofferAnswered(call.KindOffer, o.Body)
		return
	}
	if o.Carrier == dialog.CarrierPrack || o.Carrier == dialog.CarrierReliable1xx || l.state != legUp {
		l.offeredEarly(o)
		return
	}
	if l.offering || l.reoffer {
		l.step(dialog.Reject{Status: 491})
		return
	}
	d, err := l.put(call.KindOffer, o.Body)
	if err != nil {
		l.step(l.rejection(err))
		return
	}
	l.reoffer = true
	_ = l.signal(call.Reoffered{Leg: l.id, Desc: d})
}

// rejection is the refusal of an offer the plane does not accept.
func (l *leg) rejection(err error) dialog.Reject {
	status, headers := l.refusal(err)
	return dialog.Reject{Status: status, Headers: headers}
}

// refusal turns a plane's error into a status and its Warning.
func (l *leg) refusal(err error) (int, []dialog.Header) {
	var r *desc.Refusal
	if errors.As(err, &r) {
		return r.Status(), l.warn(int(r.Code), r.Text)
	}
	return 400, l.warn(399, err.Error())
}

func (l *leg) warn(code int, text string) []dialog.Header {
	return []dialog.Header{{Name: "Warning", Value: l.drv.warning(code, text)}}
}

// agreed is the answer of the peer to an offer of ours.
func (l *leg) agreed(o dialog.Output) {
	switch {
	case o.Carrier == dialog.CarrierReliable1xx:
		d, err := l.putAnswer(o.Body)
		if err == nil {
			_ = l.signal(call.Progressing{Leg: l.id, Desc: d})
		}
	case o.Carrier == dialog.CarrierAck:
		d, err := l.put(call.KindAnswer, o.Body)
		if err != nil {
			l.breakOff(err)
			return
		}
		_ = l.signal(call.Confirmed{Leg: l.id, Desc: d})
	default:
		l.reofferAnswered(call.KindAnswer, o.Body)
	}
}

func (l *leg) reofferAnswered(kind call.DescKind, body []byte) {
	d, err := l.put(kind, body)
	if err != nil {
		l.breakOff(err)
		return
	}
	l.mending = false
	if l.offering {
		l.offering = false
		_ = l.signal(call.ReofferAnswered{Leg: l.id, Desc: d})
	}
}

// breakOff ends a leg whose peer answered with something that cannot be used: nothing secure can come of it.
func (l *leg) breakOff(err error) {
	_, headers := l.refusal(err)
	headers = append(headers, dialog.Header{Name: "Reason", Value: sip.Reason{Protocol: "SIP", Cause: 488, Text: err.Error()}.String()})
	l.step(dialog.End{Status: 488, Headers: headers})
	l.released(call.NotAcceptable, "")
}

// ended is the last event of the session.
func (l *leg) ended(o dialog.Output) {
	l.freeMedia()
	l.measuredThere(o.Msg)
	cause, to := call.NormalClearing, ""
	switch {
	case o.Local && !l.gone:
		cause = call.RecoveryOnTimerExpiry // session timer, no ACK, a broken exchange
		if o.Status >= 400 && o.Status < 500 && o.Status != 408 && o.Status != 481 {
			cause = call.CauseFromSIP(o.Status)
		}
	case o.Msg != nil && o.Msg.IsRequest() && o.Msg.Method() == sip.INVITE:
		cause = cmp.Or(l.why.cause, call.CallerCancelled)
	case o.Msg != nil:
		cause, to = l.causeOf(o.Msg, o.Status)
	case o.Status >= 300:
		cause = call.CauseFromSIP(o.Status)
	}
	l.released(cause, to)
}

// causeOf reads the cause of a BYE or failure response: Q.850 where the peer says so (RFC 3326), else the status.
func (l *leg) causeOf(m *sip.Message, status int) (call.Cause, string) {
	cause, to := call.NormalClearing, ""
	if m.IsResponse() && status >= 300 {
		cause = call.CauseFromSIP(status)
	}
	for _, r := range m.Reasons() {
		if strings.EqualFold(r.Protocol, "Q.850") && r.Cause > 0 {
			cause = call.CauseFromQ850(r.Cause)
		}
	}
	if l.why = l.reasonOf(m); l.why.cause != call.CauseNone {
		cause = l.why.cause
	}
	if status >= 300 && status < 400 {
		if c, ok := m.Contact(); ok {
			to = number(c.URI)
		}
	}
	return cause, to
}

// asked is a request of the peer that means something to the engine: a digit, a transfer.
func (l *leg) asked(o dialog.Output) {
	reply := dialog.Reply{Tx: o.Tx, Req: o.Msg, Status: 200}
	switch o.Msg.Method() {
	case sip.INFO:
		digit, millis, ok := parseInfoDigit(o.Msg)
		if !ok {
			reply.Status = 415
			reply.Headers = []dialog.Header{{Name: "Accept", Value: infoRelay + ", " + infoPlain}}
			break
		}
		_ = l.signal(call.Digit{Leg: l.id, Digit: digit, Millis: millis})
	case sip.REFER:
		l.referred(o, &reply)
	case sip.NOTIFY:
		reply.Status = 481 // we sent no REFER and no SUBSCRIBE in this dialog
	default:
		reply.Status = 405
		reply.Headers = []dialog.Header{{Name: "Allow", Value: dialog.DefaultAllow}}
	}
	l.step(reply)
}

// The body types of digits in INFO, as phones of several makers send them.
const (
	infoRelay = "application/dtmf-relay"
	infoPlain = "application/dtmf"
)

// parseInfoDigit reads a digit from INFO: "Signal=5\r\nDuration=160\r\n", or the digit alone.
func parseInfoDigit(m *sip.Message) (digit string, millis int, ok bool) {
	switch m.MediaType() {
	case infoPlain:
		digit = strings.TrimSpace(string(m.Body()))
	case infoRelay:
		for line := range strings.Lines(string(m.Body())) {
			name, value, _ := strings.Cut(line, "=")
			value = strings.TrimSpace(value)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "signal":
				digit = value
			case "duration":
				millis, _ = strconv.Atoi(value)
			}
		}
	}
	switch digit { // RFC 4733 numbers, which some phones send
	case "10":
		digit = "*"
	case "11":
		digit = "#"
	}
	return digit, millis, len(digit) == 1 && strings.Contains("0123456789*#ABCD", digit)
}

// referred is a REFER inside the call: a transfer (RFC 3515).
func (l *leg) referred(o dialog.Output, reply *dialog.Reply) {
	to, ok := o.Msg.ReferTo()
	switch {
	case !l.profile.Transfer:
		reply.Status, reply.Headers = 403, l.warn(399, "this device's profile does not allow transfers by REFER")
		return
	case !ok || !to.Address.URI.IsSIP() || to.Method != sip.INVITE && to.Method != "":
		reply.Status, reply.Headers = 400, l.warn(399, "Refer-To must name one SIP URI to be called")
		return
	case l.refer != 0:
		reply.Status, reply.Headers = 491, l.warn(399, "an earlier transfer of this call is under way")
		return
	}
	s := call.TransferAsked{Leg: l.id, To: number(to.Address.URI)}
	if to.Replaces.CallID != "" {
		s.Replaces, ok = l.drv.replaced(to.Replaces)
		s.Unresolved = !ok
	}
	l.refer, l.noResult = o.Msg.CSeq().Seq, dialog.Quiet(o.Msg)
	reply.Status = 202
	if l.noResult {
		reply.Headers = []dialog.Header{{Name: "Refer-Sub", Value: "false"}}
	}
	l.step(*reply)
	reply.Tx, reply.Req = nil, nil
	_ = l.signal(s)
}
