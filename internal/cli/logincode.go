package cli

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"bulkhead/backend/oauth"
	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// oauthError is a refusal in OAuth's words.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

// pollLeast bounds how often the server is asked, whatever it says.
const pollLeast = time.Second

// loginByCode has somebody who is logged in to the server's pages approve this login.
func (c *client) loginByCode(ctx context.Context) error {
	host, _ := os.Hostname() // the page then shows none
	var asked oauth.Authorization
	err := c.form(ctx, oauth.AuthorizationPath, url.Values{
		"client_id": {oauth.ClientID}, "host_name": {host}, "client_version": {userAgent()},
	}, &asked)
	if err != nil {
		return plain(err)
	}
	// The page is where the certificate was checked: nobody is sent elsewhere to show a password.
	if page, err := url.Parse(asked.VerificationURI); err != nil || page.Scheme != "https" || asked.DeviceCode == "" || asked.UserCode == "" {
		return errs.E(wire.Unavailable, "%s answered with something that is no login", c.context.Server)
	}
	t := c.inv.typist()
	t.say("To log in, open this page in a browser, and type the code where it is not filled in:\n\n  %s\n\n  %s\n", asked.VerificationURIComplete, asked.UserCode)
	if isTerminal(c.inv.Err) {
		if err := writeQR(c.inv.Err, asked.VerificationURIComplete); err != nil {
			return err
		}
	}
	t.say("Waiting until the login is approved; Ctrl-C gives up. Approve it only if you see this code and this computer's name, %s.", host)
	return c.await(ctx, asked)
}

// await polls until there is a token or there will be none: RFC 8628, 3.5.
func (c *client) await(ctx context.Context, asked oauth.Authorization) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Duration(asked.ExpiresIn)*time.Second, errs.E(wire.Unavailable, "nobody approved the login in time: type the command again"))
	defer cancel()
	wait := max(time.Duration(asked.Interval)*time.Second, pollLeast)
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		case <-timer.C:
		}
		var token oauth.Token
		err := c.form(ctx, oauth.TokenPath, url.Values{
			"grant_type": {oauth.GrantType}, "client_id": {oauth.ClientID}, "device_code": {asked.DeviceCode},
		}, &token)
		if err == nil && token.AccessToken != "" {
			c.key = secret.FromString(token.AccessToken)
			return nil
		}
		var told *oauthError
		switch {
		case err == nil:
			return errs.E(wire.Unavailable, "%s answered with something that is no login", c.context.Server)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.As(err, &told) && told.Code == "authorization_pending":
		case errors.As(err, &told) && told.Code == "slow_down", errs.KindOf(err) == wire.Unavailable:
			wait += 5 * time.Second
		default:
			return plain(err)
		}
	}
}

// plain says in our words what OAuth says in its own.
func plain(err error) error {
	var told *oauthError
	if !errors.As(err, &told) {
		return err
	}
	switch told.Code {
	case "access_denied":
		return errs.E(wire.Denied, "the login was denied")
	case "expired_token", "invalid_grant":
		return errs.E(wire.Unauthenticated, "the code has expired or the login was ended: type: bulkhead login")
	case "temporarily_unavailable":
		return errs.E(wire.Unavailable, "%s", told.Description)
	default:
		return errs.E(wire.Unavailable, "the server refused the login: %s", told.Description)
	}
}

// form sends a form and decodes its answer. What OAuth refuses is an *oauthError.
func (c *client) form(ctx context.Context, path string, form url.Values, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, c.context.Server+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	q.Header.Set("User-Agent", userAgent())
	response, err := c.http.Do(q)
	if err != nil {
		return c.unreachable(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return c.unreachable(err)
	}
	if response.StatusCode == http.StatusOK {
		if len(text) == 0 || reply == nil {
			return nil
		}
		return errs.As(wire.Unavailable, json.Unmarshal(text, reply), "%s answered with something that is no JSON", c.context.Server)
	}
	told := &oauthError{}
	if json.Unmarshal(text, told) == nil && told.Code != "" {
		if response.StatusCode >= http.StatusInternalServerError {
			return errs.E(wire.Unavailable, "%s", told.Description)
		}
		return told
	}
	return errs.E(kindOf("", response.StatusCode), "the server answered %s: does it have logins? its address is %s", response.Status, c.context.Server)
}
