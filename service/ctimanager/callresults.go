package ctimanager

import (
	"errors"

	"github.com/locktone/locktone/bus"
	"github.com/locktone/locktone/call"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// An operation is what was asked of an engine: the same cause has another error value for each.
type operation uint8

const (
	opAny operation = iota
	opMake
	opConsult
	opAnswer
	opDrop
	opDropParty
	opHold
	opRetrieve
	opRedirect
	opTransfer
	opConference
	opPark
	opParkAt
	opUnpark
	opPickup
	opDigits
	opForward
	opMessages
)

// refusals is which error value an engine's "no" is told as: the row of the operation and the cause, else that of any operation and the
// cause, else that of the operation without a cause.
var refusals = []struct {
	what   operation
	cause  call.Cause
	result ctiqbe.Result
}{
	{opAny, call.NoSuchCall, ctiqbe.ErrCallHandleUnknownToLineControl},
	{opAny, call.WrongCallState, ctiqbe.ErrOperationNotAvailableInCurrentState},
	{opAny, call.SubscriberAbsent, ctiqbe.ErrDeviceOutOfService},
	{opAny, call.DriverGone, ctiqbe.ErrDeviceOutOfService},
	{opAny, call.Overloaded, ctiqbe.ErrTemporaryFailure},
	{opAny, call.TemporaryFailure, ctiqbe.ErrTemporaryFailure},
	{opAny, call.SwitchingCongestion, ctiqbe.ErrTemporaryFailure},
	{opAny, call.ResourceUnavailable, ctiqbe.ErrResourceNotAvailable},
	{opAny, call.RequestPending, ctiqbe.ErrCallRequestAlreadyOutstanding},
	{opAny, call.SecurityMismatch, ctiqbe.ErrSecurityCapabilityMismatch},
	{opAny, call.BearerNotAuthorized, ctiqbe.ErrSecurityNotAllowed},
	{opAny, call.NotAcceptable, ctiqbe.ErrMediaCapabilityMismatch},
	{opAny, call.UnallocatedNumber, ctiqbe.ErrDestinationUnknown},
	{opAny, call.NoRouteToDestination, ctiqbe.ErrDestinationUnknown},
	{opAny, call.InvalidNumberFormat, ctiqbe.ErrDestinationUnknown},
	{opAny, call.UserBusy, ctiqbe.ErrDestinationBusy},
	{opAny, call.FacilityRejected, ctiqbe.ErrOperationNotAllowed},
	{opAny, call.CallRejected, ctiqbe.ErrOperationNotAllowed},
	{opAny, call.FacilityNotImplemented, ctiqbe.ErrCommandNotImplementedOnDevice},
	{opAny, call.ServiceNotImplemented, ctiqbe.ErrCommandNotImplementedOnDevice},
	{opAny, call.CauseNone, ctiqbe.ErrCTIFailure},

	{opMake, call.InvalidNumberFormat, ctiqbe.ErrUndefinedLine},
	{opMake, call.UserBusy, ctiqbe.ErrMaxCallLimitReached},
	{opMake, call.CauseNone, ctiqbe.ErrLineControlFailure},
	{opConsult, call.InvalidNumberFormat, ctiqbe.ErrUndefinedLine},
	{opConsult, call.UserBusy, ctiqbe.ErrMaxCallLimitReached},
	{opConsult, call.WrongCallState, ctiqbe.ErrPrimaryCallStateInvalid},
	{opConsult, call.NoSuchCall, ctiqbe.ErrPrimaryCallInvalid},
	{opConsult, call.CauseNone, ctiqbe.ErrConsultCallFailure},
	{opAnswer, call.NoSuchCall, ctiqbe.ErrIllegalCallState},
	{opAnswer, call.WrongCallState, ctiqbe.ErrIllegalCallState},
	{opAnswer, call.CauseNone, ctiqbe.ErrIllegalCallState},
	{opHold, call.WrongCallState, ctiqbe.ErrIllegalCallState},
	{opRetrieve, call.WrongCallState, ctiqbe.ErrIllegalCallState},
	{opRedirect, call.WrongCallState, ctiqbe.ErrRedirectCallIncompatibleState},
	{opDigits, call.WrongCallState, ctiqbe.ErrDigitGenerationWrongCallState},
	{opDropParty, call.CauseNone, ctiqbe.ErrDropPartyFailed},
	{opDropParty, call.NoSuchCall, ctiqbe.ErrConferenceInvalidParticipant},
	{opHold, call.CauseNone, ctiqbe.ErrHoldFailed},
	{opRetrieve, call.CauseNone, ctiqbe.ErrRetrieveFailed},

	{opRedirect, call.NoSuchCall, ctiqbe.ErrRedirectCallDoesNotExist},
	{opRedirect, call.UnallocatedNumber, ctiqbe.ErrRedirectCallUnknownDestination},
	{opRedirect, call.NoRouteToDestination, ctiqbe.ErrRedirectCallUnknownDestination},
	{opRedirect, call.InvalidNumberFormat, ctiqbe.ErrRedirectCallUnknownDestination},
	{opRedirect, call.UserBusy, ctiqbe.ErrRedirectCallDestinationBusy},
	{opRedirect, call.SubscriberAbsent, ctiqbe.ErrRedirectCallDestinationOutOfOrder},
	{opRedirect, call.DestinationOutOfOrder, ctiqbe.ErrRedirectCallDestinationOutOfOrder},
	{opRedirect, call.NoCircuit, ctiqbe.ErrRedirectCallDestinationOutOfOrder},
	{opRedirect, call.FacilityRejected, ctiqbe.ErrRedirectCallIncompatibleState},
	{opRedirect, call.CallerCancelled, ctiqbe.ErrRedirectCallOriginatorAbandoned},
	{opRedirect, call.NormalClearing, ctiqbe.ErrRedirectCallNormalClearing},
	{opRedirect, call.LoopDetected, ctiqbe.ErrRedirectCallProtocolError},
	{opRedirect, call.CauseNone, ctiqbe.ErrRedirectCallUnknownError},

	{opTransfer, call.NoSuchCall, ctiqbe.ErrTransferInactive},
	{opTransfer, call.UnallocatedNumber, ctiqbe.ErrTransferFailedDestinationUnallocated},
	{opTransfer, call.InvalidNumberFormat, ctiqbe.ErrTransferFailedDestinationUnallocated},
	{opTransfer, call.UserBusy, ctiqbe.ErrTransferFailedDestinationBusy},
	{opTransfer, call.FacilityRejected, ctiqbe.ErrTransferFailed},
	{opTransfer, call.CallRejected, ctiqbe.ErrTransferFailed},
	{opTransfer, call.CauseNone, ctiqbe.ErrTransferFailed},
	{opConference, call.NoSuchCall, ctiqbe.ErrConferenceInvalidParticipant},
	{opConference, call.ResourceUnavailable, ctiqbe.ErrConferenceFull},
	{opConference, call.FacilityRejected, ctiqbe.ErrConferenceFailed},
	{opConference, call.CauseNone, ctiqbe.ErrConferenceFailed},

	{opPark, call.UserBusy, ctiqbe.ErrCallParkNoDN},
	{opPark, call.UnallocatedNumber, ctiqbe.ErrCallParkNoDN},
	{opParkAt, call.UserBusy, ctiqbe.ErrInvalidParkDN},
	{opParkAt, call.UnallocatedNumber, ctiqbe.ErrInvalidParkDN},
	{opUnpark, call.UnallocatedNumber, ctiqbe.ErrInvalidParkDN},
	{opUnpark, call.InvalidNumberFormat, ctiqbe.ErrUndefinedLine},
	{opUnpark, call.CauseNone, ctiqbe.ErrCallUnparkFailed},
	{opPickup, call.UserNotInGroup, ctiqbe.ErrInvalidPickupGroup},
	{opPickup, call.UnallocatedNumber, ctiqbe.ErrNoCallsToPickup},
	{opPickup, call.InvalidNumberFormat, ctiqbe.ErrUndefinedLine},
	{opPickup, call.UserBusy, ctiqbe.ErrNoLinesToPickup},
	{opPickup, call.CauseNone, ctiqbe.ErrPickupFailed},
	{opDigits, call.NoSuchCall, ctiqbe.ErrDigitGenerationWrongCallHandle},
	{opDigits, call.InvalidNumberFormat, ctiqbe.ErrInvalidDTMFDigits},
	{opDigits, call.FacilityRejected, ctiqbe.ErrDigitGenerationWrongCallState},
	{opMessages, call.CauseNone, ctiqbe.ErrMsgWaitingDestinationInvalid},
	{opForward, call.CauseNone, ctiqbe.ErrCfwdAllDestinationInvalid},
	{opForward, call.InvalidNumberFormat, ctiqbe.ErrCfwdAllDestinationInvalid},
	{opForward, call.UnallocatedNumber, ctiqbe.ErrCfwdAllDestinationInvalid},
	{opForward, call.CallRejected, ctiqbe.ErrCfwdAllDestinationInvalid},
	{opForward, call.FacilityRejected, ctiqbe.ErrCfwdAllDestinationInvalid},
}

// result is the error value for what an engine has refused.
func (what operation) result(cause call.Cause) ctiqbe.Result {
	for _, try := range [...]struct {
		operation
		call.Cause
	}{{what, cause}, {opAny, cause}, {what, call.CauseNone}} {
		for i := range refusals {
			if r := &refusals[i]; r.what == try.operation && r.cause == try.Cause {
				return r.result
			}
		}
	}
	return ctiqbe.ErrCTIFailure
}

// resultOfError is the error value for a request that has got no answer.
func resultOfError(err error) ctiqbe.Result {
	var e *bus.Error
	if !errors.As(err, &e) {
		return ctiqbe.ErrInternalFailure
	}
	switch e.Code {
	case bus.CodeTimeout:
		return ctiqbe.ErrTimeout
	case bus.CodeNoResponder, bus.CodeNotFound:
		return ctiqbe.ErrCallManagerNotAvailable
	case bus.CodeUnavailable, bus.CodeNoSpace:
		return ctiqbe.ErrTemporaryFailure
	case bus.CodeForbidden:
		return ctiqbe.ErrOperationNotAllowed
	case bus.CodeInvalid:
		return ctiqbe.ErrInvalidParameter
	}
	return ctiqbe.ErrInternalFailure
}
