package call

import (
	"fmt"
	"strconv"
)

// A Cause says why a leg, party or call ended or a request was refused. Values 1 to 127 are those of ITU-T Q.850; values from
// 256 on are ours, for things Q.850 has no number for. The zero is "no cause".
type Cause uint16

// Causes of ITU-T Q.850, table 1.
const (
	CauseNone               Cause = 0
	UnallocatedNumber       Cause = 1
	NoRouteToNetwork        Cause = 2
	NoRouteToDestination    Cause = 3
	NormalClearing          Cause = 16
	UserBusy                Cause = 17
	NoUserResponding        Cause = 18
	NoAnswer                Cause = 19
	SubscriberAbsent        Cause = 20
	CallRejected            Cause = 21
	NumberChanged           Cause = 22
	ExchangeRoutingError    Cause = 25
	NonSelectedUser         Cause = 26
	DestinationOutOfOrder   Cause = 27
	InvalidNumberFormat     Cause = 28
	FacilityRejected        Cause = 29
	NormalUnspecified       Cause = 31
	NoCircuit               Cause = 34
	NetworkOutOfOrder       Cause = 38
	TemporaryFailure        Cause = 41
	SwitchingCongestion     Cause = 42
	ResourceUnavailable     Cause = 47
	IncomingBarred          Cause = 55
	BearerNotAuthorized     Cause = 57
	BearerNotAvailable      Cause = 58
	BearerNotImplemented    Cause = 65
	FacilityNotImplemented  Cause = 69
	RestrictedDigitalOnly   Cause = 70
	ServiceNotImplemented   Cause = 79
	UserNotInGroup          Cause = 87
	IncompatibleDestination Cause = 88
	WrongCallState          Cause = 101
	RecoveryOnTimerExpiry   Cause = 102
	ProtocolError           Cause = 111
	InterworkingUnspecified Cause = 127
)

// Causes of ours.
const (
	RequestPending    Cause = 256 + iota // two offers crossed (RFC 3261, 14.1): try again later
	NotAcceptable                        // the description cannot be used (488)
	SecurityMismatch                     // one side insists on SRTP, the other on RTP, and policy allows no conversion
	LoopDetected                         // the call has come through here too often
	NoSuchCall                           // Replaces, a REFER or a request names a leg that does not exist
	CallerCancelled                      // the caller gave up before the answer
	PickedUpElsewhere                    // another device of the line answered (RFC 3326: call completed elsewhere)
	DriverGone                           // the driver that carried the leg is lost
	Overloaded                           // the engine refuses new calls for a while
)

type causeRow struct {
	cause Cause
	name  string
	// sip is the status a failure with this cause is reported with; zero only for causes that end no pending INVITE.
	sip int
	// q850 is the value to send in a Reason header.
	q850 int
	// reroute says that the next member of a route list is worth a try: the network failed, not the user.
	reroute bool
}

// RFC 3398, 8.2.6.1 (ISUP cause to SIP status) is the table for causes 1 to 127. It leaves 16 and 26 out because they do
// not refuse an INVITE; when one has to, 480 and 404 are used as in that table's spirit.
var causeTable = []causeRow{
	{UnallocatedNumber, "unallocated number", 404, 1, false},
	{NoRouteToNetwork, "no route to network", 404, 2, true},
	{NoRouteToDestination, "no route to destination", 404, 3, true},
	{NormalClearing, "normal clearing", 480, 16, false},
	{UserBusy, "user busy", 486, 17, false},
	{NoUserResponding, "no user responding", 408, 18, true},
	{NoAnswer, "no answer", 480, 19, false},
	{SubscriberAbsent, "subscriber absent", 480, 20, true},
	{CallRejected, "call rejected", 403, 21, false},
	{NumberChanged, "number changed", 410, 22, false},
	{ExchangeRoutingError, "exchange routing error", 483, 25, false},
	{NonSelectedUser, "non-selected user clearing", 404, 26, false},
	{DestinationOutOfOrder, "destination out of order", 502, 27, true},
	{InvalidNumberFormat, "invalid number format", 484, 28, false},
	{FacilityRejected, "facility rejected", 501, 29, false},
	{NormalUnspecified, "normal unspecified", 480, 31, false},
	{NoCircuit, "no circuit available", 503, 34, true},
	{NetworkOutOfOrder, "network out of order", 503, 38, true},
	{TemporaryFailure, "temporary failure", 503, 41, true},
	{SwitchingCongestion, "switching congestion", 503, 42, true},
	{ResourceUnavailable, "resource unavailable", 503, 47, true},
	{IncomingBarred, "incoming calls barred", 403, 55, false},
	{BearerNotAuthorized, "bearer capability not authorized", 403, 57, false},
	{BearerNotAvailable, "bearer capability not available", 503, 58, true},
	{BearerNotImplemented, "bearer capability not implemented", 488, 65, true},
	{FacilityNotImplemented, "facility not implemented", 501, 69, true},
	{RestrictedDigitalOnly, "only restricted digital available", 488, 70, true},
	{ServiceNotImplemented, "service not implemented", 501, 79, true},
	{UserNotInGroup, "user not in closed group", 403, 87, false},
	{IncompatibleDestination, "incompatible destination", 503, 88, true},
	{WrongCallState, "message not compatible with call state", 500, 101, false},
	{RecoveryOnTimerExpiry, "recovery on timer expiry", 504, 102, true},
	{ProtocolError, "protocol error", 500, 111, true},
	{InterworkingUnspecified, "interworking unspecified", 500, 127, true},
	{RequestPending, "request pending", 491, 127, false},
	{NotAcceptable, "description not acceptable", 488, 65, true},
	{SecurityMismatch, "media security mismatch", 488, 58, true},
	{LoopDetected, "loop detected", 482, 25, false},
	{NoSuchCall, "no such call", 481, 127, false},
	{CallerCancelled, "caller cancelled", 487, 16, false},
	{PickedUpElsewhere, "answered elsewhere", 480, 26, false},
	{DriverGone, "driver gone", 503, 41, true},
	{Overloaded, "overloaded", 503, 42, true},
}

// RFC 3398, 7.2.4.1 (SIP status to ISUP cause), with 407, 487, 488 and 606 resolved as the text around the table says, and with
// the statuses that came later.
var statusTable = []struct {
	sip   int
	cause Cause
}{
	{400, TemporaryFailure}, {401, CallRejected}, {402, CallRejected}, {403, CallRejected}, {404, UnallocatedNumber},
	{405, FacilityNotImplemented}, {406, ServiceNotImplemented}, {407, CallRejected}, {408, RecoveryOnTimerExpiry},
	{410, NumberChanged}, {413, InterworkingUnspecified}, {414, InterworkingUnspecified}, {415, ServiceNotImplemented},
	{416, InterworkingUnspecified}, {420, InterworkingUnspecified}, {421, InterworkingUnspecified},
	{423, InterworkingUnspecified}, {430, TemporaryFailure}, {433, CallRejected}, {480, NoUserResponding},
	{481, NoSuchCall}, {482, LoopDetected}, {483, ExchangeRoutingError}, {484, InvalidNumberFormat},
	{485, UnallocatedNumber}, {486, UserBusy}, {487, CallerCancelled}, {488, NotAcceptable}, {489, FacilityNotImplemented},
	{491, RequestPending}, {493, NotAcceptable}, {494, NotAcceptable}, {500, TemporaryFailure}, {501, ServiceNotImplemented},
	{502, NetworkOutOfOrder}, {503, TemporaryFailure}, {504, RecoveryOnTimerExpiry}, {505, InterworkingUnspecified},
	{513, InterworkingUnspecified}, {580, BearerNotAvailable}, {600, UserBusy}, {603, CallRejected},
	{604, UnallocatedNumber}, {606, NotAcceptable}, {607, CallRejected}, {608, CallRejected},
}

func (c Cause) row() *causeRow {
	for i := range causeTable {
		if causeTable[i].cause == c {
			return &causeTable[i]
		}
	}
	return nil
}

// String is the name, or "cause N" for a value without one.
func (c Cause) String() string {
	if c == CauseNone {
		return "none"
	}
	if r := c.row(); r != nil {
		return r.name
	}
	return "cause " + strconv.Itoa(int(c))
}

// Named says whether the cause has a name of its own; there are few of these, and a peer can say any number.
func (c Cause) Named() bool { return c == CauseNone || c.row() != nil }

// SIP is the status with which an INVITE that fails for this cause is refused. RFC 3398, 8.2.6.1: a cause without a row of
// its own is treated like the default of its class.
func (c Cause) SIP() int {
	if r := c.row(); r != nil {
		return r.sip
	}
	switch {
	case c < 32:
		return 480
	case c < 64:
		return 503
	default:
		return 500
	}
}

// Q850 is the value for a Reason header with protocol Q.850 (RFC 3326), 1 to 127.
func (c Cause) Q850() int {
	if r := c.row(); r != nil {
		return r.q850
	}
	if c >= 1 && c <= 127 {
		return int(c)
	}
	return int(InterworkingUnspecified)
}

// Reroutes says whether the next member of a route list is worth a try after this cause: yes when the network or the peer
// failed, no when a user was reached or the number is wrong.
func (c Cause) Reroutes() bool {
	r := c.row()
	return r != nil && r.reroute
}

// CauseFromSIP is the cause of a failure response. RFC 3398, 7.2.4.1; a status without a row of its own counts as the x00 of
// its class (RFC 3261, 8.1.3.2).
func CauseFromSIP(status int) Cause {
	for pass := 0; pass < 2; pass++ {
		for _, r := range statusTable {
			if r.sip == status {
				return r.cause
			}
		}
		status = status / 100 * 100
	}
	return InterworkingUnspecified
}

// CauseFromQ850 is the cause of a Reason header's Q.850 value, InterworkingUnspecified outside 1 to 127.
func CauseFromQ850(value int) Cause {
	if value < 1 || value > 127 {
		return InterworkingUnspecified
	}
	return Cause(value)
}

// ParseCause reads a name as String writes it, or a number.
func ParseCause(s string) (Cause, error) {
	if s == "none" || s == "" {
		return CauseNone, nil
	}
	for i := range causeTable {
		if causeTable[i].name == s {
			return causeTable[i].cause, nil
		}
	}
	n, err := strconv.ParseUint(trimCause(s), 10, 16)
	if err != nil {
		return CauseNone, fmt.Errorf("call: %q is no cause; expected a name of Q.850 such as %q, or a number", s, UserBusy)
	}
	return Cause(n), nil
}

func trimCause(s string) string {
	const prefix = "cause "
	if len(s) > len(prefix) && s[:len(prefix)] == prefix {
		return s[len(prefix):]
	}
	return s
}

// MarshalText writes the name.
func (c Cause) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (c *Cause) UnmarshalText(b []byte) error {
	v, err := ParseCause(string(b))
	*c = v
	return err
}
