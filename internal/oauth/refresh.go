package oauth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// run refreshes the access token whenever that is due, until ctx ends.
func (g *Grant) run(ctx context.Context) {
	defer close(g.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		err := g.refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		select {
		case <-g.wake: // It was meant for this refresh.
		default:
		}
		timer.Reset(g.end(err))
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-g.wake:
		}
		g.mu.Lock()
		g.refreshes = true
		g.mu.Unlock()
	}
}

// refreshNow makes run refresh now.
func (g *Grant) refreshNow() {
	select {
	case g.wake <- struct{}{}:
	default: // It is about to.
	}
}

// end notes how a refresh ended, and returns when the next one is due.
func (g *Grant) end(err error) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	failing := g.state.FailedInARow > 0
	g.state.Err = err
	if err == nil {
		g.state.Changed++
		g.state.FailedInARow, g.state.Good = 0, time.Now()
		g.wait = 0
		g.next = g.obtained.Add(spread(g.expires.Sub(g.obtained) * 4 / 5))
	} else {
		g.state.Failed++
		g.state.FailedInARow++
		g.wait = min(max(2*g.wait, leastWait), mostWait)
		if errors.Is(err, ErrRefused) {
			g.wait = leastWait // Only the file is looked at.
		}
		g.next = time.Now().Add(spread(g.wait))
	}
	switch {
	case err != nil && !failing:
		g.cfg.Logger.Error("an OAuth grant cannot be refreshed, its last access token is used until it expires",
			"grant", g.cfg.Name, "expires", g.expires, "error", err)
	case err == nil && failing:
		g.cfg.Logger.Info("an OAuth grant is good again", "grant", g.cfg.Name)
	}
	g.refreshes = false
	close(g.ended)
	g.ended = make(chan struct{})
	return max(time.Until(g.next), 0)
}

// refresh makes a new access token the one in use.
func (g *Grant) refresh(ctx context.Context) error {
	refresh, err := g.read()
	if err != nil {
		return err
	}
	g.mu.Lock()
	made, refused := g.unwritten, refresh == g.refused
	g.mu.Unlock()
	if made == nil {
		if refused {
			return ErrRefused
		}
		if made, err = g.exchange(ctx, refresh); err != nil {
			return err
		}
		g.mu.Lock()
		g.unwritten = made
		g.mu.Unlock()
		if now, err := readSecret(g.path); err == nil && now != refresh {
			return errors.New("the file of the refresh token has changed during a refresh")
		}
	}
	if err := write(g.path, made.refresh); err != nil {
		return fmt.Errorf("the new refresh token cannot be written: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unwritten, g.stored = nil, made.refresh
	g.access, g.obtained, g.expires = made.access, made.obtained, made.expires
	return nil
}

// read returns the refresh token in the file. If somebody else has put it there, it may have other permissions, and what
// was not written for the one before is forgotten.
func (g *Grant) read() (string, error) {
	refresh, err := readSecret(g.path)
	if err != nil {
		return "", err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stored != "" && refresh != g.stored {
		g.generation++
		g.unwritten = nil
	}
	g.stored = refresh
	return refresh, nil
}

// exchange gives a refresh token away for a new pair.
func (g *Grant) exchange(ctx context.Context, refresh string) (*pair, error) {
	secret, err := readSecret(g.cfg.SecretFile)
	if err != nil {
		return nil, err
	}
	cfg := oauth2.Config{
		ClientID: g.cfg.ClientID, ClientSecret: secret,
		// The library would ask twice after a failure if it had to find out the style by itself.
		Endpoint: oauth2.Endpoint{TokenURL: g.cfg.TokenURL, AuthStyle: oauth2.AuthStyleInHeader},
	}
	asked := time.Now()
	token, err := cfg.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, g.cfg.Client), &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return nil, g.refusal(refresh, err)
	}
	made := &pair{access: token.AccessToken, refresh: token.RefreshToken, obtained: asked, expires: token.Expiry}
	if made.expires.IsZero() {
		made.expires = asked.Add(usualLife)
	}
	if made.refresh == "" {
		made.refresh = refresh // It may be used again.
	}
	return made, errors.Join(checkToken("the new access token", made.access), checkToken("the new refresh token", made.refresh))
}

// refusal returns what is told of a refresh that failed. The text of err may hold the whole answer.
func (g *Grant) refusal(refresh string, err error) error {
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == "invalid_grant":
		g.mu.Lock()
		defer g.mu.Unlock()
		g.refused = refresh
		return ErrRefused
	case errors.As(err, &refused):
		text := fmt.Sprintf("%s answered with status %d", g.cfg.TokenURL, refused.Response.StatusCode)
		if isCode(refused.ErrorCode) {
			text += " and the error " + refused.ErrorCode
		}
		return errors.New(text)
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return fmt.Errorf("%s did not answer in time", g.cfg.TokenURL)
	default:
		return fmt.Errorf("%s could not be reached, or answered with something else than a token", g.cfg.TokenURL)
	}
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

// isCode reports whether a text is an error code by RFC 6749 or one like them, which is no secret.
func isCode(text string) bool {
	return text != "" && len(text) <= 64 && strings.Trim(text, "abcdefghijklmnopqrstuvwxyz_") == ""
}
