package sip

import (
	"iter"
	"strconv"
	"strings"
)

// fieldID numbers the header fields this package treats by more than their name; 0 is any other field.
type fieldID uint8

const (
	idOther fieldID = iota
	idVia
	idFrom
	idTo
	idCallID
	idCSeq
	idMaxForwards
	idContentLength
	idContentType
	idContact
	idRoute
	idRecordRoute
	idExpires
	idSupported
	idRequire
	idAllow
	idTimestamp
	idEvent
	idReferTo
	idReferredBy
	idSubject
	idAllowEvents
	idContentEncoding
	idAcceptContact
	idRejectContact
	idRequestDisposition
	idSessionExpires
	idMinSE
	idRSeq
	idRAck
	idReplaces
	idSubscriptionState
	idPAssertedIdentity
	idPPreferredIdentity
	idPrivacy
	idDiversion
	idHistoryInfo
	idReason
	idRetryAfter
	idWarning
	idDate
	idProxyRequire
	idUnsupported
	idAccept
	idMinExpires
	idPath
	idServiceRoute
	idWWWAuthenticate
	idProxyAuthenticate
	idAuthorization
	idProxyAuthorization
	idUserAgent
	idServer
	idMIMEVersion
	idIdentity
	idAlertInfo
	idCallInfo
	idReplyTo
	idOrganization
	idAuthenticationInfo
	idContentDisposition
	idContentLanguage
	idErrorInfo
	idInReplyTo
	idPriority
	idAcceptEncoding
	idAcceptLanguage
	idJoin
	idFlowTimer
	idSIPETag
	idSIPIfMatch
	idRecvInfo
	idInfoPackage
	idCount
)

const sipVersion = "SIP/2.0"

// compactField maps the compact forms (RFC 3261, 7.3.3 and IANA): i is Call-ID, not Identity, and so on.
func compactField(c byte) fieldID {
	switch c | 0x20 {
	case 'a':
		return idAcceptContact
	case 'b':
		return idReferredBy // RFC 3892, 3
	case 'c':
		return idContentType
	case 'd':
		return idRequestDisposition
	case 'e':
		return idContentEncoding
	case 'f':
		return idFrom
	case 'i':
		return idCallID
	case 'j':
		return idRejectContact
	case 'k':
		return idSupported
	case 'l':
		return idContentLength
	case 'm':
		return idContact
	case 'o':
		return idEvent // RFC 6665, 8.2.1
	case 'r':
		return idReferTo // RFC 3515, 2.1
	case 's':
		return idSubject
	case 't':
		return idTo
	case 'u':
		return idAllowEvents // RFC 6665, 8.2.2
	case 'v':
		return idVia
	case 'x':
		return idSessionExpires // RFC 4028, 4
	case 'y':
		return idIdentity // RFC 8224, 4
	}
	return idOther
}

// candidates narrows a name by its length, so that a lookup costs one to five comparisons and no allocation.
func candidates(n int) [10]fieldID {
	switch n {
	case 2:
		return [10]fieldID{idTo}
	case 3:
		return [10]fieldID{idVia}
	case 4:
		return [10]fieldID{idFrom, idCSeq, idRSeq, idRAck, idDate, idPath, idJoin}
	case 5:
		return [10]fieldID{idRoute, idAllow, idEvent}
	case 6:
		return [10]fieldID{idMinSE, idReason, idAccept, idServer}
	case 7:
		return [10]fieldID{idCallID, idContact, idExpires, idRequire, idSubject, idPrivacy, idWarning}
	case 8:
		return [10]fieldID{idReferTo, idReplaces, idIdentity, idReplyTo, idPriority, idSIPETag}
	case 9:
		return [10]fieldID{idSupported, idTimestamp, idDiversion, idCallInfo, idRecvInfo}
	case 10:
		return [10]fieldID{idUserAgent, idAlertInfo, idErrorInfo, idFlowTimer}
	case 11:
		return [10]fieldID{idReferredBy, idRetryAfter, idUnsupported, idMinExpires, idInReplyTo}
	case 12:
		return [10]fieldID{idMaxForwards, idContentType, idRecordRoute, idAllowEvents, idHistoryInfo, idMIMEVersion,
			idOrganization, idSIPIfMatch, idInfoPackage}
	case 13:
		return [10]fieldID{idProxyRequire, idServiceRoute, idAuthorization}
	case 14:
		return [10]fieldID{idContentLength, idAcceptContact, idRejectContact}
	case 15:
		return [10]fieldID{idSessionExpires, idAcceptEncoding, idAcceptLanguage}
	case 16:
		return [10]fieldID{idContentEncoding, idWWWAuthenticate, idContentLanguage}
	case 18:
		return [10]fieldID{idSubscriptionState, idProxyAuthenticate}
	case 19:
		return [10]fieldID{idPAssertedIdentity, idProxyAuthorization, idRequestDisposition, idAuthenticationInfo,
			idContentDisposition}
	case 20:
		return [10]fieldID{idPPreferredIdentity}
	}
	return [10]fieldID{}
}

// lookupField finds the number of a field name in any case, long or compact (RFC 3261, 7.3.1: names ignore case).
func lookupField(name string) fieldID {
	if len(name) == 1 {
		return compactField(name[0])
	}
	for _, id := range candidates(len(name)) {
		if id == idOther {
			return idOther
		}
		if strings.EqualFold(name, id.canonical()) {
			return id
		}
	}
	return idOther
}

func newField(id fieldID, name, value string) Field {
	if id != idOther {
		name = id.canonical()
	}
	return Field{Name: name, Value: value, id: id}
}

// builtField is newField for values that did not come from the parser.
func builtField(id fieldID, name, value string) Field {
	return newField(id, oneLine(name), oneLine(value))
}

// oneLine makes sure that nothing put into a message can end its line and begin another: CR and LF become spaces.
func oneLine(s string) string {
	if strings.IndexByte(s, '\r') < 0 && strings.IndexByte(s, '\n') < 0 {
		return s
	}
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(s)
}

func (f *Field) is(id fieldID, name string) bool {
	if id != idOther || f.id != idOther {
		return f.id == id
	}
	return strings.EqualFold(f.Name, name)
}

func (m *Message) index(id fieldID) int {
	for i := range m.fields {
		if m.fields[i].id == id {
			return i
		}
	}
	return -1
}

func (m *Message) first(id fieldID) string {
	if i := m.index(id); i >= 0 {
		return m.fields[i].Value
	}
	return ""
}

func (m *Message) number(id fieldID, limit uint64) (int, bool) {
	n, err := strconv.ParseUint(m.first(id), 10, 63)
	return int(n), err == nil && n <= limit
}

// put stores a known field that occurs once.
func (m *Message) put(id fieldID, value string) {
	value = oneLine(value)
	if i := m.index(id); i >= 0 {
		m.fields[i].Value = value
		return
	}
	m.fields = append(m.fields, Field{Name: id.canonical(), Value: value, id: id})
}

// refresh keeps the typed copies in step with their fields.
func (m *Message) refresh(id fieldID) {
	switch id {
	case idVia:
		m.via, _ = ParseVia(m.first(id))
	case idFrom:
		m.from, _ = ParseAddress(m.first(id))
	case idTo:
		m.to, _ = ParseAddress(m.first(id))
	case idCSeq:
		m.cseq, _ = ParseCSeq(m.first(id))
	case idContact:
		m.contact, _ = ParseAddress(m.first(id))
	case idCallID:
		m.callID = m.first(id)
	}
}

// splitsElements says for which fields a comma list is stored as one Field per element.
func splitsElements(id fieldID) bool {
	switch id {
	case idVia, idRoute, idRecordRoute, idContact, idPath, idServiceRoute, idPAssertedIdentity, idPPreferredIdentity,
		idDiversion, idHistoryInfo:
		return true
	}
	return false
}

// listElements walks the elements of a comma list, trimmed. Commas inside quotes and angle brackets do not separate.
func listElements(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			n := elementEnd(s)
			if !yield(trim(s[:n])) || n == len(s) {
				return
			}
			s = s[n+1:]
		}
	}
}

// elementEnd is the index of the first separating comma, or len(s).
func elementEnd(s string) int {
	if strings.IndexByte(s, ',') < 0 {
		return len(s)
	}
	quoted, bracket := false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			bracket = true
		case c == '>':
			bracket = false
		case c == ',' && !bracket:
			return i
		}
	}
	return len(s)
}
