package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"time"
)

// renewal is when a certificate is to be renewed: after two thirds of its lifetime, as the field's clients do.
func renewal(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 3 * 2).UTC()
}

// The pauses between failed renewals: a tenth of what is left of the certificate's life, within these bounds.
const (
	minPause = time.Minute
	maxPause = 6 * time.Hour
)

// Keep holds the certificate valid until ctx is done: it enrols when there is none, renews at two thirds of the lifetime,
// and tries again after a failure, ever sooner as the end comes near. The old certificate stays until a new one is stored.
//
// Renewal authenticates with the certificate held when the server allows that (By Existing Certificate); otherwise it needs a
// new authorization string (Authorize), and Observe says so in good time. Keep returns ctx's cause, or the error of a first enrolment
// that a retry cannot mend.
func (c *Client) Keep(ctx context.Context) error {
	for {
		due, err := c.Due()
		if err != nil { // none, or damaged: enrol now
			if err := c.first(ctx); err != nil {
				return err
			}
			continue
		}
		if err := sleep(ctx, due.Sub(c.cfg.Now())); err != nil {
			return err
		}
		_, err = c.Enroll(ctx)
		if next, dueErr := c.Due(); err == nil && dueErr == nil && next.After(c.cfg.Now()) {
			continue
		}
		pause := c.pause() // also when what came is over two thirds of its life already: a clock is wrong
		c.observe(err, "The certificate was not renewed; what is held stays in use. The next attempt in %v.", pause)
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// first enrols. A cause that may pass is waited for; a refusal is the caller's to see.
func (c *Client) first(ctx context.Context) error {
	_, err := c.Enroll(ctx)
	var e *Error
	if err == nil || ctx.Err() != nil || !errors.As(err, &e) || !e.Retry {
		return err
	}
	pause := max(minPause, c.cfg.Every, e.After)
	c.observe(err, "There is no certificate yet. The next attempt in %v.", pause)
	return sleep(ctx, pause)
}

// Due is when the certificate held is to be renewed; ErrNone when there is none.
func (c *Client) Due() (time.Time, error) {
	have, err := c.store.Credential()
	if err != nil {
		return time.Time{}, err
	}
	return renewal(have.Leaf), nil
}

func (c *Client) pause() time.Duration {
	have, err := c.store.Credential()
	if err != nil {
		return minPause
	}
	return min(max(have.Leaf.NotAfter.Sub(c.cfg.Now())/10, minPause), maxPause)
}
