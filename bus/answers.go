package bus

import (
	"context"
	"slices"
)

// Answers is what a service tells operators. A question whose field is nil is
// not answered, but for TraceLevel: without Levels nothing is traced. Lists are
// given whole; what a Query names is picked here.
type Answers struct {
	Status        func(context.Context) ServiceStatus
	Registrations func(context.Context) ([]Registration, error)
	Trunks        func(context.Context) ([]TrunkState, error)
	Connections   func(context.Context) ([]Connection, error)
	Exceptions    func(context.Context) ([]Exception, error)
	Reset         Handler[ResetRequest, ResetResult]
	Dial          Handler[DialRequest, DialAnswer]
	Levels        Levels
	Messages      func(context.Context) ([]MessageState, error)
	Subscriptions func(context.Context) ([]WatchState, error)
	Lines         func(context.Context) ([]LineState, error)
	Providers     func(context.Context) ([]ProviderState, error)
	ServerGroups  func(context.Context) ([]ServerGroupState, error)
	Agents        func(context.Context) ([]AgentState, error)
	ContactQueues func(context.Context) ([]ContactQueueState, error)
	Contacts      func(context.Context) ([]ContactState, error)
	Callers       func(context.Context) ([]CallerState, error)
	VoiceBrowsers func(context.Context) ([]VoiceBrowserState, error)
	SetForward    Handler[ForwardRequest, SettingResult]
	SetDevice     Handler[DeviceSettingRequest, SettingResult]
	SetMessages   Handler[MessagesRequest, MessagesResult]
	Drain         Handler[DrainRequest, DrainState]
}

// Levels changes how much a service traces while it runs; *trace.Recorder does.
type Levels interface {
	// ChangeLevel takes a level as package trace spells it and returns the one that was in force.
	ChangeLevel(service, device, user, level string) (previous string, err error)
}

// Responders answer for one service.
type Responders []*Responder

// Close ends them all.
func (rs Responders) Close() {
	for _, r := range rs {
		r.Close()
	}
}

// Answer serves the service's answers on this node. On an error what was
// started is returned as well, to be closed.
func (b *Bus) Answer(service string, a Answers) (Responders, error) {
	var out Responders
	for _, start := range []func() (*Responder, error){
		func() (*Responder, error) {
			return Serve(b, b.Subject(service, VerbStatus), func(ctx context.Context, _ StatusRequest) (ServiceStatus, error) { return a.Status(ctx), nil })
		},
		serveRows(b, b.Subject(service, VerbRegistrations), a.Registrations, func(r Registration) string { return r.Device }),
		serveRows(b, b.Subject(service, VerbServerGroups), a.ServerGroups, func(r ServerGroupState) string { return r.Group }),
		serveRows(b, b.Subject(service, VerbAgents), a.Agents, func(r AgentState) string { return r.Agent }),
		serveRows(b, b.Subject(service, VerbContactQueues), a.ContactQueues, func(r ContactQueueState) string { return r.Queue }),
		serveRows(b, b.Subject(service, VerbContacts), a.Contacts, func(r ContactState) string { return r.Contact }),
		serveRows(b, b.Subject(service, VerbCallers), a.Callers, func(r CallerState) string { return r.Called }),
		serveRows(b, b.Subject(service, VerbVoiceBrowsers), a.VoiceBrowsers, func(r VoiceBrowserState) string { return r.Node }),
		serveRows(b, b.Subject(service, VerbTrunks), a.Trunks, func(r TrunkState) string { return r.Trunk }),
		serveRows(b, b.Subject(service, VerbConnections), a.Connections, func(r Connection) string { return r.Peer }),
		serveRows(b, b.Subject(service, VerbExceptions), a.Exceptions, func(r Exception) string { return r.Name }),
		serveRows(b, b.Subject(service, VerbMessages), a.Messages, func(r MessageState) string { return r.Line }),
		serveRows(b, b.Subject(service, VerbSubscriptions), a.Subscriptions, func(r WatchState) string { return r.Device }),
		serveGiven(b, b.Subject(service, VerbReset), a.Reset),
		serveRows(b, b.Subject(service, VerbLines), a.Lines, func(r LineState) string { return r.Line }),
		serveRows(b, b.Subject(service, VerbProviders), a.Providers, func(r ProviderState) string { return r.User }),
		serveGiven(b, b.Subject(service, VerbSetMessages), a.SetMessages),
		serveGiven(b, b.Subject(service, VerbDial), a.Dial),
		serveGiven(b, b.Subject(service, VerbDrain), a.Drain),
		serveGiven(b, b.Subject(service, VerbSetForward), a.SetForward),
		serveGiven(b, b.Subject(service, VerbSetDevice), a.SetDevice),
		func() (*Responder, error) {
			return Serve(b, b.Subject(service, VerbTraceLevel), func(_ context.Context, r TraceLevelRequest) (TraceLevelResult, error) {
				return changeLevel(service, a.Levels, r)
			})
		},
	} {
		r, err := start()
		if err != nil {
			return out, err
		}
		if r != nil {
			out = append(out, r)
		}
	}
	return out, nil
}

// serveGiven serves a handler, unless it is nil.
func serveGiven[Req, Res any](b *Bus, s Subject, h Handler[Req, Res]) func() (*Responder, error) {
	return func() (*Responder, error) {
		if h == nil {
			return nil, nil
		}
		return Serve(b, s, h)
	}
}

// serveRows answers with those of the rows that bear the name asked for; nil rows are not served.
func serveRows[T any](b *Bus, s Subject, rows func(context.Context) ([]T, error), name func(T) string) func() (*Responder, error) {
	return func() (*Responder, error) {
		if rows == nil {
			return nil, nil
		}
		return Serve(b, s, func(ctx context.Context, q Query) ([]T, error) {
			all, err := rows(ctx)
			if err != nil || q.Name == "" {
				return all, err
			}
			return slices.DeleteFunc(all, func(r T) bool { return name(r) != q.Name }), nil
		})
	}
}

func changeLevel(service string, l Levels, r TraceLevelRequest) (TraceLevelResult, error) {
	if l == nil {
		return TraceLevelResult{}, &Error{CodeUnavailable, "nothing is traced here"}
	}
	previous, err := l.ChangeLevel(service, r.Device, r.User, r.Level)
	if err != nil {
		return TraceLevelResult{}, &Error{CodeInvalid, err.Error()}
	}
	return TraceLevelResult{Previous: previous}, nil
}
