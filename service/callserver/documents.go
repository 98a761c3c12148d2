package callserver

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/locktone/locktone/contact"
	"github.com/locktone/locktone/media/tone"
	"github.com/locktone/locktone/media/wav"
	"github.com/locktone/locktone/pki"
	"github.com/locktone/locktone/service/callserver/routing"
)

// Paths of the document server.
const (
	documentPath = "/vxml"
	audioPath    = "/audio/"
)

// Bounds of the document server.
const (
	maxForm      = 64 << 10         // octets of a submit without recordings
	maxRecording = 12 << 20         // octets of a submit with some: ten minutes of linear samples, and a little
	maxHead      = 16 << 10         // octets of a request's header
	maxRequests  = 4096             // requests at the same time
	requestTime  = 30 * time.Second // for a request to come
	answerTime   = 2 * time.Minute  // for its answer: the contact centre may think meanwhile
	idleTime     = 3 * time.Minute  // between requests of one connection
	musicAge     = 24 * time.Hour   // for which browsers may keep audio
	maxFolder    = 512 << 20        // octets of all recordings; then callers can leave no more
)

// serveDocuments listens for voice browsers, with certificates of both sides.
func (s *Service) serveDocuments() error {
	at := netip.AddrPortFrom(s.cfg.Addresses[0], uint16(s.site.Load().config.DocumentPort))
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return fmt.Errorf("documents for voice browsers cannot be served at %s: %w; end who has the port, or set callServers.documentPort", at, err)
	}
	policy := pki.ServerPolicy{TLSPolicy: pki.TLSPolicy{KeyLog: s.cfg.KeyLog, NextProtos: []string{"http/1.1"}}, Peers: s.browserPolicy()}
	s.documents = l
	s.web = &http.Server{Handler: web{s, make(chan struct{}, maxRequests)}, ReadHeaderTimeout: requestTime, ReadTimeout: requestTime, WriteTimeout: answerTime, IdleTimeout: idleTime,
		MaxHeaderBytes: maxHead, ErrorLog: log.New(webLog{s}, "", 0)}
	s.run(func() {
		if err := s.web.Serve(tls.NewListener(l, s.cfg.Identity.ServerConfig(policy))); !errors.Is(err, http.ErrServerClosed) && s.ctx.Err() == nil {
			s.el.Warn("documents are not served any more: " + err.Error())
		}
	})
	return nil
}

// browserPolicy is who may come at all; which of those may have documents is looked up for each request, so that a change counts at once.
func (s *Service) browserPolicy() pki.PeerPolicy {
	return pki.PeerPolicy{Peer: "voice browser", Kinds: pki.KindsOf(pki.KindPeer, pki.KindService)}
}

// webLog puts what net/http complains about into the trace.
type webLog struct{ s *Service }

func (w webLog) Write(p []byte) (int, error) {
	w.s.counts.refusedDocuments.Add(1)
	w.s.el.Note("", strings.TrimSpace(string(p)))
	return len(p), nil
}

// web answers voice browsers.
type web struct {
	s    *Service
	busy chan struct{} // a place for each request
}

// ServeHTTP implements http.Handler.
func (w web) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	select {
	case w.busy <- struct{}{}:
		defer func() { <-w.busy }()
	default:
		w.refuse(to, http.StatusServiceUnavailable, "too many requests at the same time")
		return
	}
	if why := w.stranger(r); why != "" {
		w.s.el.Note("", "a document was refused: "+why)
		w.refuse(to, http.StatusForbidden, why)
		return
	}
	switch {
	case strings.HasPrefix(r.URL.Path, documentPath+"/"):
		w.document(to, r)
	case strings.HasPrefix(r.URL.Path, audioPath) && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		w.audio(to, r)
	default:
		w.refuse(to, http.StatusNotFound, "there are documents under "+documentPath+" and audio files under "+audioPath)
	}
}

// stranger says why somebody gets no documents; empty for voice browsers.
func (w web) stranger(r *http.Request) string {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return "no certificate was shown"
	}
	policy := w.s.browserPolicy()
	policy.Names = pki.Names{Subjects: w.s.site.Load().browsers}
	if len(policy.Names.Subjects) == 0 {
		return "no voice browsers are configured (callServers.voiceBrowsers)"
	}
	if err := w.s.cfg.Identity.Inspect(*r.TLS, pki.PeerIsClient, policy).Err(); err != nil {
		return err.Error()
	}
	return ""
}

func (w web) refuse(to http.ResponseWriter, status int, why string) {
	w.s.counts.refusedDocuments.Add(1)
	http.Error(to, why, status)
}

// document answers GET and POST /vxml/CALL/DOCUMENT.
func (w web) document(to http.ResponseWriter, r *http.Request) {
	id, number, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, documentPath+"/"), "/")
	doc, err := strconv.ParseUint(number, 10, 64)
	c := w.s.find(contact.CallID(id))
	if !ok || err != nil || c == nil {
		w.refuse(to, http.StatusNotFound, "there is no such call, or no more")
		return
	}
	page := make(chan routing.Page, 1)
	in := input{page: page, in: routing.Fetched{Doc: doc}}
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		results, status, err := w.results(to, r, c.id, doc)
		if err != nil {
			w.refuse(to, status, err.Error())
			return
		}
		in.in = routing.Submitted{Doc: doc, Results: results}
	default:
		to.Header().Set("Allow", "GET, POST")
		w.refuse(to, http.StatusMethodNotAllowed, "a document is fetched by GET, or submitted by POST")
		return
	}
	if !c.put(in) {
		w.refuse(to, http.StatusNotFound, "the call has ended")
		return
	}
	select {
	case p := <-page:
		w.send(to, c, p)
	case <-r.Context().Done():
		c.put(input{gone: page})
	case <-w.s.ctx.Done():
	case <-c.done:
		select {
		case p := <-page:
			w.send(to, c, p)
		default:
			w.refuse(to, http.StatusNotFound, "the call has ended")
		}
	}
}

// send answers with a document. It is good for once: what comes next depends on the call.
func (w web) send(to http.ResponseWriter, c *caller, p routing.Page) {
	set := w.s.site.Load().settings
	text, err := render(p.Steps, p.Language, documentPath+"/"+string(c.id)+"/"+strconv.FormatUint(p.Doc, 10), set.AskTimeout+set.AskAgain+10*time.Second)
	if err != nil {
		w.s.el.Warn("a document for " + string(c.id) + " cannot be written: " + err.Error())
		w.refuse(to, http.StatusInternalServerError, err.Error())
		return
	}
	w.s.counts.documents.Add(1)
	to.Header().Set("Content-Type", "application/voicexml+xml")
	to.Header().Set("Cache-Control", "no-store")
	_, _ = to.Write(text) // a browser that is gone asks no more
}

// results reads what a browser submits.
func (w web) results(to http.ResponseWriter, r *http.Request, id contact.CallID, doc uint64) (map[string]string, int, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("the type of what is submitted: %w", err)
	}
	switch kind {
	case "application/x-www-form-urlencoded":
		b, err := io.ReadAll(http.MaxBytesReader(to, r.Body, maxForm))
		if err != nil {
			return nil, http.StatusRequestEntityTooLarge, err
		}
		v, err := url.ParseQuery(string(b))
		if err != nil {
			return nil, http.StatusBadRequest, err
		}
		out := map[string]string{}
		for name := range v {
			out[name] = v.Get(name)
		}
		return bounded(out)
	case "multipart/form-data":
		return w.parts(multipart.NewReader(http.MaxBytesReader(to, r.Body, maxRecording), params["boundary"]), id, doc)
	}
	return nil, http.StatusUnsupportedMediaType, fmt.Errorf("%s is no form", kind)
}

// bounded refuses more names than a document has.
func bounded(v map[string]string) (map[string]string, int, error) {
	if len(v) > 2*contact.MaxSteps+1 {
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("%d values were submitted; a document has up to %d", len(v), 2*contact.MaxSteps+1)
	}
	return v, 0, nil
}

// parts reads a form with recordings.
func (w web) parts(r *multipart.Reader, id contact.CallID, doc uint64) (map[string]string, int, error) {
	out := map[string]string{}
	for {
		part, err := r.NextPart()
		if errors.Is(err, io.EOF) && len(out) > 0 {
			return bounded(out)
		}
		if err != nil {
			return nil, http.StatusBadRequest, fmt.Errorf("the form: %w", err)
		}
		if len(out) > 2*contact.MaxSteps {
			return bounded(out)
		}
		b, err := io.ReadAll(part)
		if err != nil {
			return nil, http.StatusRequestEntityTooLarge, err
		}
		name := part.FormName()
		if !strings.HasPrefix(part.Header.Get("Content-Type"), "audio/") && part.FileName() == "" {
			if len(b) > maxForm {
				return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("%q has %d octets", name, len(b))
			}
			out[name] = string(b)
			continue
		}
		file, err := w.s.keep(b, string(id)+"-"+strconv.FormatUint(doc, 10)+"-"+strconv.Itoa(len(out))+".wav")
		if err != nil {
			return nil, http.StatusInsufficientStorage, fmt.Errorf("the recording: %w", err)
		}
		out[name] = file
	}
}

// keep writes a recording into the folder of recordings and gives its name back.
func (s *Service) keep(b []byte, name string) (string, error) {
	if s.cfg.Folder == "" {
		return "", errors.New("this call server has no folder for recordings")
	}
	if _, err := wav.Read(b); err != nil {
		return "", err
	}
	folder := filepath.Join(s.cfg.Folder, "callserver", "recordings")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	held, err := os.ReadDir(folder)
	if err != nil {
		return "", err
	}
	total := int64(len(b))
	for _, e := range held {
		if info, err := e.Info(); err == nil { // one that has gone meanwhile takes no room
			total += info.Size()
		}
	}
	if total > maxFolder {
		return "", fmt.Errorf("%s is full (%d MiB): fetch the recordings and remove them", folder, maxFolder>>20)
	}
	return name, os.WriteFile(filepath.Join(folder, name), b, 0o600)
}

// audio answers GET /audio/NAME: music.wav is a melody of our own, others are files of the folder callserver/audio.
func (w web) audio(to http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, audioPath)
	to.Header().Set("Cache-Control", "max-age="+strconv.Itoa(int(musicAge.Seconds())))
	if name == "music.wav" {
		to.Header().Set("Content-Type", "audio/x-wav")
		_, _ = to.Write(music(r.URL.Query().Get("ms"))) // a browser that is gone asks no more
		return
	}
	if w.s.cfg.Folder == "" || name == "" || !filepath.IsLocal(filepath.FromSlash(name)) {
		w.refuse(to, http.StatusNotFound, "there is no audio file "+strconv.Quote(name))
		return
	}
	folder, err := os.OpenRoot(filepath.Join(w.s.cfg.Folder, "callserver", "audio"))
	if err != nil {
		w.refuse(to, http.StatusNotFound, "there are no audio files: the folder callserver/audio is missing")
		return
	}
	defer folder.Close()
	http.ServeFileFS(to, r, folder.FS(), name)
}

// music is the built-in melody for so many milliseconds.
func music(ms string) []byte {
	n, err := strconv.Atoi(ms)
	length := time.Duration(n) * time.Millisecond
	if err != nil || length <= 0 || length > musicPiece {
		length = musicPiece
	}
	pcm := make([]int16, int(length*tone.Rate/time.Second))
	m := tone.NewMusic()
	for at := 0; at < len(pcm); {
		n, err := m.ReadPCM(pcm[at:])
		if err != nil || n == 0 {
			break
		}
		at += n
	}
	return wav.Append(nil, pcm)
}

// escapePath writes a name as a path of a URI.
func escapePath(name string) string { return (&url.URL{Path: name}).EscapedPath() }
