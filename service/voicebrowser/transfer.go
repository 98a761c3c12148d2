package voicebrowser

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/call/live"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/service/voicebrowser/fetch"
	"github.com/locktone/locktone/service/voicebrowser/interpreter"
)

// transfer does interpreter.Transfer, through the transfer peer: blind and consultation leave the caller connected there, and this session
// ends. A bridge would have to keep a leg that hears both; what a document asks for is refused in so many words.
func (x *session) transfer(a *interpreter.Transfer) interpreter.Outcome {
	to, failure := destination(a.Dest)
	switch {
	case a.Kind != interpreter.Blind && a.Kind != interpreter.Consultation:
		return refused("error.unsupported.transfer."+string(interpreter.Bridge), "this voice browser keeps no leg in a bridge: use blind or consultation")
	case x.site.TransferPeer == "":
		return refused("error.unsupported.transfer."+string(a.Kind), "no transferPeer is configured")
	case failure != "":
		return refused(failure, a.Dest)
	}
	if out := x.play(&interpreter.Play{Prompts: a.Prompts}); out.Hangup {
		return out
	}
	parameters := ""
	if a.AAI != "" {
		parameters = ";aai=" + escaped(a.AAI)
	}
	x.s.counts.transfers.Add(1)
	if a.Kind == interpreter.Blind {
		return x.blind(to, parameters)
	}
	return x.consult(a, to, parameters)
}

func refused(event, message string) interpreter.Outcome {
	return interpreter.Outcome{Transferred: &interpreter.Transferred{Failure: event, Message: message}}
}

// destination is the number of a tel or sip URI. VoiceXML 2.0, 2.3.7: a platform must take tel URIs.
func destination(uri string) (number, failure string) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(uri), ":")
	switch strings.ToLower(scheme) {
	case "tel":
	case "sip", "sips":
		rest, _, _ = strings.Cut(rest, "@")
	default:
		return "", "error.unsupported.uri"
	}
	rest, _, _ = strings.Cut(rest, ";")
	if plain, err := url.PathUnescape(rest); err == nil {
		rest = plain
	}
	number = strings.NewReplacer("-", "", ".", "", "(", "", ")", "", " ", "").Replace(rest) // RFC 3966, 3: visual separators
	if number == "" || len(number) > 32 || strings.Trim(number, "0123456789*#+") != "" || strings.LastIndexByte(number, '+') > 0 {
		return "", "error.connection.baddestination"
	}
	return number, ""
}

// escaped is a value of a URI parameter. RFC 3261, 25.1: paramchar.
func escaped(s string) string {
	const free = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()[]/:&+$"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; strings.IndexByte(free, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(string("0123456789abcdef"[c>>4])+string("0123456789abcdef"[c&15])))
		}
	}
	return b.String()
}

// requestTime bounds what the engine may take.
const requestTime = 5 * time.Second

// blind sends the caller on: the engine looks the number up and our leg leaves.
func (x *session) blind(to, parameters string) interpreter.Outcome {
	ctx, cancel := context.WithTimeout(x.run, requestTime)
	defer cancel()
	reply, err := x.s.el.Host().Request(ctx, Name, call.Redirect{Leg: x.leg.Info().Leg, To: to, CallerSpace: true, Transfer: true, Unsaid: true, Parameters: parameters})
	switch {
	case err != nil:
		return refused("error.connection.noresource", err.Error())
	case reply.Cause != call.CauseNone:
		return refused(failureOf(reply.Cause), reply.Cause.String())
	}
	return x.left()
}

func (x *session) left() interpreter.Outcome {
	x.gone = true
	return interpreter.Outcome{Transferred: &interpreter.Transferred{Result: "transferred"}}
}

// consult rings the callee while the caller hears the transfer's audio; when it answers they are connected and our leg leaves.
func (x *session) consult(a *interpreter.Transfer, to, parameters string) interpreter.Outcome {
	info := x.leg.Info()
	watch := x.s.el.Host().Watch(0, call.Delivered, call.DeliverFailed)
	defer watch.Close()
	ctx, cancel := context.WithTimeout(x.run, requestTime)
	defer cancel()
	reply, err := x.s.el.Host().Request(ctx, Name, call.Deliver{Call: info.Call, Instead: info.Leg, To: to, NoAnswer: a.ConnectTimeout, Parameters: parameters})
	switch {
	case err != nil:
		return refused("error.connection.noresource", err.Error())
	case reply.Cause != call.CauseNone:
		return resultOf(reply.Cause)
	}
	ctx, stop := context.WithCancel(x.call)
	defer stop()
	if a.Audio != "" {
		x.renders.Go(func() {
			pcm, err := x.sound(ctx, &interpreter.Audio{URL: a.Audio, MaxAge: fetch.Unsaid, MaxStale: fetch.Unsaid})
			if err == nil && len(pcm) > 0 && ctx.Err() == nil {
				x.leg.Start(tone.NewLoop(pcm))
			}
		})
	}
	defer x.leg.Start(nil)
	return x.awaitDelivery(watch, info.Call)
}

func (x *session) awaitDelivery(watch *live.Watcher, id call.CallID) interpreter.Outcome {
	for {
		select {
		case n, open := <-watch.Notes():
			switch {
			case !open:
				return refused("error.connection.noresource", "the engine has stopped")
			case n.Event.Call != id:
			case n.Event.Kind == call.Delivered:
				return x.left()
			case n.Event.Kind == call.DeliverFailed:
				return resultOf(n.Event.Cause)
			}
		case <-x.run.Done():
			return interpreter.Outcome{Hangup: true}
		}
	}
}

// resultOf is what a document is told of a callee that could not be had: a result where VoiceXML 2.0, 2.3.7.3 has one, else an event.
func resultOf(c call.Cause) interpreter.Outcome {
	results := map[call.Cause]string{call.UserBusy: "busy", call.NoAnswer: "noanswer", call.NoUserResponding: "noanswer", call.NetworkOutOfOrder: "network_busy",
		call.ResourceUnavailable: "network_busy", call.CallerCancelled: "near_end_disconnect"}
	if r := results[c]; r != "" {
		return interpreter.Outcome{Transferred: &interpreter.Transferred{Result: r}}
	}
	return refused(failureOf(c), c.String())
}

func failureOf(c call.Cause) string {
	switch c {
	case call.UnallocatedNumber, call.InvalidNumberFormat:
		return "error.connection.baddestination"
	case call.CallRejected:
		return "error.connection.noauthorization"
	case call.NoRouteToDestination, call.DestinationOutOfOrder:
		return "error.connection.noroute"
	}
	return "error.connection.noresource"
}
