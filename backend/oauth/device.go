package oauth

import (
	"net/http"
	"net/url"

	"bulkhead/backend/account"
	"bulkhead/backend/account/devicegrant"
	"bulkhead/internal/errs"
	"bulkhead/wire"
)

// Authorization is the answer to who asks to log in (RFC 8628, 3.2).
type Authorization struct {
	DeviceCode              string `json:"device_code"`
	UserCode                string `json:"user_code"`
	VerificationURI         string `json:"verification_uri"`
	VerificationURIComplete string `json:"verification_uri_complete"`
	ExpiresIn               int    `json:"expires_in"`
	Interval                int    `json:"interval"`
}

// Token is the answer to who was approved (RFC 6749, 5.1).
type Token struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
}

var errClient = &fault{http.StatusUnauthorized, "invalid_client", "this server knows the client_id " + ClientID + " alone"}

// authorize begins a grant. The client may say its host's name and its version, which its user is shown as its own words.
func (c Config) authorize(q *call) (any, error) {
	if q.value("client_id") != ClientID {
		return nil, errClient
	}
	if q.value("scope") != "" {
		return nil, &fault{http.StatusBadRequest, "invalid_scope", "a login has no scopes: ask for an API key to have less than all"}
	}
	issued, err := c.Grants.Start(devicegrant.From{Address: q.client.Address, Host: q.value("host_name"), Client: q.value("client_version")})
	if err != nil {
		return nil, err
	}
	page := c.PublicURL + ApprovalPath
	return Authorization{
		DeviceCode: string(issued.DeviceCode.Reveal()), UserCode: issued.UserCode,
		VerificationURI: page, VerificationURIComplete: page + "?" + url.Values{"user_code": {issued.UserCode}}.Encode(),
		ExpiresIn: int(issued.Life.Seconds()), Interval: int(issued.Interval.Seconds()),
	}, nil
}

// polls has what a poll is told while there is no token: RFC 8628, 3.5.
var polls = map[error]*fault{
	devicegrant.ErrPending:  {http.StatusBadRequest, "authorization_pending", "the user has not decided yet"},
	devicegrant.ErrSlowDown: {http.StatusBadRequest, "slow_down", "wait 5 seconds longer between two polls"},
	devicegrant.ErrDenied:   {http.StatusBadRequest, "access_denied", "the user has denied the login"},
	devicegrant.ErrExpired:  {http.StatusBadRequest, "expired_token", "the code has expired: begin again"},
	devicegrant.ErrUnknown:  {http.StatusBadRequest, "invalid_grant", "no such device code, or it was used"},
}

// token trades a device code for a login. The grant is gone from here on: who does not get this answer begins again.
func (c Config) token(q *call) (any, error) {
	switch {
	case q.value("grant_type") == "":
		return nil, invalid("grant_type is missing")
	case q.value("grant_type") != GrantType:
		return nil, &fault{http.StatusBadRequest, "unsupported_grant_type", "want " + GrantType}
	case q.value("client_id") != ClientID:
		return nil, errClient
	case q.value("device_code") == "":
		return nil, invalid("device_code is missing")
	}
	by, from, err := c.Grants.Poll(q.value("device_code"))
	if err != nil {
		if told, ok := polls[err]; ok {
			return nil, told
		}
		return nil, err
	}
	client := q.client
	client.Agent = from.Client + " on " + from.Host
	session, err := c.Logins.Approve(q.ctx, client, by, account.LoginCLI)
	if err != nil {
		return nil, err
	}
	return Token{
		AccessToken: string(session.Token.Reveal()), TokenType: "Bearer", ExpiresIn: int(session.Login.ExpiresAt.Sub(c.Now()).Seconds()),
	}, nil
}

// revoke ends the login of a token. Whether there is one is nobody's business: RFC 7009, 2.2.
func (c Config) revoke(q *call) (any, error) {
	token := q.value("token")
	if token == "" {
		return nil, invalid("token is missing")
	}
	p, err := c.Logins.Authenticate(q.ctx, q.client, token)
	switch errs.KindOf(err) {
	case "":
	case wire.Unauthenticated, wire.NotFound, wire.Invalid:
		return nil, nil
	default:
		return nil, err
	}
	err = c.Logins.End(q.ctx, q.client, p, p.Login)
	if errs.KindOf(err) == wire.NotFound {
		return nil, nil
	}
	return nil, err
}
