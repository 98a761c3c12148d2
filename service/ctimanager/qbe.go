package ctimanager

import (
	"github.com/locktone/locktone/service/ctimanager/projection"
	"github.com/locktone/locktone/wire/ctiqbe"
)

// lineMessages are the messages that tell a client of an event of a line that it has opened, by the line's handle and through its filter.
func lineMessages(l *openLine, e *projection.Event) []ctiqbe.Message { return nil }

// deviceMessages are those of an event of a device.
func deviceMessages(o *openDevice, e *projection.Event) []ctiqbe.Message { return nil }
