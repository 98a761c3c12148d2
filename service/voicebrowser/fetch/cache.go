package fetch

import (
	"container/list"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// entry is a stored response. It is immutable.
type entry struct {
	status         int
	media          string
	body           []byte
	etag, modified string
	stored         time.Time     // when it was asked for
	age            time.Duration // it had then: RFC 9111, 4.2.3
	life           time.Duration // how long it is fresh: RFC 9111, 4.2.1
	noStore        bool
	strict         bool // must-revalidate, no-cache: never stale
}

func newEntry(status int, h http.Header, media string, body []byte, asked time.Time) *entry {
	e := &entry{status: status, media: media, body: body, etag: h.Get("ETag"), modified: h.Get("Last-Modified"), stored: asked}
	e.directives(h)
	return e
}

// directives takes what the origin says of freshness. RFC 9111, 5.2.2; the subset: no-store, no-cache, must-revalidate, max-age, private
// (this cache is one user's: the voice browser), Expires, Age. Vary other than none is not stored.
func (e *entry) directives(h http.Header) {
	e.life, e.age, e.noStore, e.strict = 0, 0, h.Get("Vary") != "", false
	said, always := false, false
	for _, d := range strings.Split(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(strings.ToLower(d)), "=")
		switch name {
		case "no-store":
			e.noStore = true
		case "no-cache":
			e.strict, always = true, true
		case "must-revalidate":
			e.strict = true
		case "max-age":
			if n := seconds(strings.Trim(value, `"`)); n >= 0 {
				e.life, said = n, true
			}
		}
	}
	if expires, err := http.ParseTime(h.Get("Expires")); err == nil && !said {
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			e.life = max(0, expires.Sub(date))
		}
	}
	if always {
		e.life = 0
	}
	e.age = max(0, seconds(h.Get("Age")))
}

// seconds are delta-seconds (RFC 9111, 1.2.2), at most a year; below zero where it is none.
func seconds(v string) time.Duration {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 {
		return -1
	}
	return time.Duration(min(n, 365*24*3600)) * time.Second
}

// storable says whether it may be kept: a success, that the origin has not forbidden, and that can be of use again.
func (e *entry) storable() bool {
	return e.status == http.StatusOK && !e.noStore && (e.life > 0 || e.etag != "" || e.modified != "")
}

// revalidated is the entry after 304. RFC 9111, 4.3.4.
func (e *entry) revalidated(h http.Header, asked time.Time) *entry {
	fresh := *e
	fresh.stored = asked
	if h.Get("Cache-Control") != "" || h.Get("Expires") != "" {
		fresh.directives(h)
	}
	if t := h.Get("ETag"); t != "" {
		fresh.etag = t
	}
	return &fresh
}

// usable says whether it may be used without a word to the origin. VoiceXML 2.0, 6.1.2: a document that says maxage takes nothing older;
// maxstale takes what is stale by no more, which the origin's must-revalidate forbids.
func (e *entry) usable(now time.Time, maxAge, maxStale time.Duration) bool {
	if e == nil {
		return false
	}
	age := e.age + now.Sub(e.stored)
	if maxAge >= 0 && age > maxAge {
		return false
	}
	stale := age - e.life
	if stale < 0 {
		return true
	}
	return !e.strict && maxStale >= 0 && stale <= maxStale
}

func (e *entry) response(u *url.URL, cached bool) *Response {
	return &Response{Status: e.status, URL: u.String(), Type: e.media, Body: e.body, Cached: cached}
}

// cache keeps entries by URL, the longest unused go first. The mutex guards everything.
type cache struct {
	limit int64
	now   func() time.Time

	mu           sync.Mutex
	byURL        map[string]*list.Element
	order        *list.List // of *kept, the last used in front
	size         int64
	hits, misses uint64
}

type kept struct {
	url string
	e   *entry
}

func newCache(limit int64, now func() time.Time) *cache {
	return &cache{limit: limit, now: now, byURL: map[string]*list.Element{}, order: list.New()}
}

// overhead is what an entry costs beside its body, roughly.
const overhead = 512

func (k *kept) cost() int64 { return int64(len(k.e.body)+len(k.url)) + overhead }

func (c *cache) get(url string) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	x := c.byURL[url]
	if x == nil {
		c.misses++
		return nil
	}
	c.hits++
	c.order.MoveToFront(x)
	return x.Value.(*kept).e
}

func (c *cache) put(url string, e *entry) {
	k := &kept{url, e}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(c.byURL[url])
	if k.cost() > c.limit/4 { // one file must not push out all others
		return
	}
	c.byURL[url] = c.order.PushFront(k)
	c.size += k.cost()
	for c.size > c.limit {
		c.remove(c.order.Back())
	}
}

func (c *cache) drop(url string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(c.byURL[url])
}

func (c *cache) remove(x *list.Element) {
	if x == nil {
		return
	}
	k := c.order.Remove(x).(*kept)
	delete(c.byURL, k.url)
	c.size -= k.cost()
}

// Stats are counters of the cache.
type Stats struct {
	Entries      int
	Octets       int64
	Hits, Misses uint64
}

// Stats is a snapshot.
func (c *Client) Stats() Stats {
	c.cache.mu.Lock()
	defer c.cache.mu.Unlock()
	return Stats{Entries: c.cache.order.Len(), Octets: c.cache.size, Hits: c.cache.hits, Misses: c.cache.misses}
}
