// Package devicegrant lets a program without a browser log in: it shows a short code, and its user types that into a page
// where they are logged in already (RFC 8628).
//
// It promises that a grant is used once, within ten minutes, and by who holds its device code alone; that codes are kept as
// hashes; that who approves has shown a second factor within the last minutes and is told from where the request comes;
// that guessing codes, asking too often and piling up requests are refused; and that no approval goes unrecorded.
//
// Grants live in memory: a restart forgets them, and who waits asks again.
package devicegrant

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"bulkhead/backend/account"
	"bulkhead/backend/audit"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Limits of grants.
const (
	Life = 10 * time.Minute
	// Interval is what a program waits between two polls; SlowDown is added each time that it does not.
	Interval = 2 * time.Second
	SlowDown = 5 * time.Second

	maxWaiting    = 10_000
	maxPerNetwork = 20 // of one address, of a wide network network.Wide times as many
	// maxInCrowd takes its place where half of all that may wait do, so that few addresses do not fill the other half.
	maxInCrowd = 2
)

// From is where a request comes from. Address is seen by the server, the rest is what the program says of itself.
type From struct {
	Address string `json:"-"` // personal: the approved login keeps it
	Host    string `json:"host,omitempty"`
	Client  string `json:"client,omitempty"` // program and version
}

// Issued is what the asking program is given.
type Issued struct {
	DeviceCode secret.Value
	UserCode   string // XXXX-XXXX
	Life       time.Duration
	Interval   time.Duration
}

// Asking is a request as its approver sees it.
type Asking struct {
	UserCode  string
	From      From
	AskedAt   time.Time
	ExpiresAt time.Time
}

// Recorder keeps an entry of the audit log; without it nothing is approved.
type Recorder interface {
	Record(ctx context.Context, e audit.Entry) error
}

// codeHash is what is kept of a code.
type codeHash [sha256.Size]byte

func hashOf(code string) codeHash { return sha256.Sum256([]byte(code)) }

// state of a grant.
type state int

const (
	pending state = iota
	deciding
	approved
	denied
)

// grant is one request. Its user code is kept to be shown again to who has typed it.
type grant struct {
	device, user codeHash
	from         From
	networks     []netip.Prefix // that count it
	asked        time.Time
	state        state
	by           account.Principal
	polled       time.Time
	interval     time.Duration
}

func (g *grant) expires() time.Time { return g.asked.Add(Life) }

// Grants are the requests that wait. Make them with New.
type Grants struct {
	now    func() time.Time
	record Recorder

	mu      sync.Mutex // guards all below
	devices map[codeHash]*grant
	users   map[codeHash]*grant
	held    map[netip.Prefix]int // how many wait, by network
	oldest  []*grant             // in the order of expiry; those that are gone are skipped
	guesses guesses
}

// New makes an empty set.
func New(now func() time.Time, record Recorder) *Grants {
	return &Grants{
		now: now, record: record, devices: map[codeHash]*grant{}, users: map[codeHash]*grant{}, held: map[netip.Prefix]int{}, guesses: guesses{},
	}
}

// asset names a grant in the audit log.
func asset(from From) audit.Asset { return audit.Asset{Kind: "login", Name: from.Host} }

func entry(by audit.Actor, action audit.Action, from From) audit.Entry {
	return audit.New(by, action, wire.Key(0), asset(from)).Changed(nil, from)
}
