package httpapi

import (
	"time"

	"bulkhead/wire"
)

// Tunnel is a route to one target on one device, for a while.
type Tunnel struct {
	ID         string    `json:"id"`
	ProjectKey wire.Key  `json:"project_key"`
	DeviceKey  wire.Key  `json:"device_key"`
	Device     string    `json:"device" doc:"Name of the device when the tunnel was asked for"`
	Target     string    `json:"target" example:"127.0.0.1:8080" doc:"As the device sees it; shell for a shell"`
	State      string    `json:"state" enum:"requested,approved,granted,open,closed,denied"`
	EndToEnd   bool      `json:"end_to_end" doc:"The gateway cannot read it"`
	Record     bool      `json:"record,omitempty" doc:"A recording is asked for"`
	Recorded   bool      `json:"recorded,omitempty" doc:"The device records what is shown"`
	ByKind     string    `json:"by_kind"`
	ByID       string    `json:"by_id"`
	ByName     string    `json:"by_name,omitempty"`
	Reason     string    `json:"reason,omitempty"`
	Approver   string    `json:"approver,omitempty"`
	TTLSeconds int64     `json:"ttl_seconds"`
	AskedAt    time.Time `json:"asked_at"`
	OpenedAt   time.Time `json:"opened_at,omitzero"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	ClosedAt   time.Time `json:"closed_at,omitzero"`
	Ended      string    `json:"ended,omitempty" doc:"Why it ended"`
	Sent       int64     `json:"sent" doc:"Bytes to the device"`
	Received   int64     `json:"received" doc:"Bytes from the device"`
	Streams    int       `json:"streams"`
	URL        string    `json:"url,omitempty" doc:"Where browsers find a web application while its tunnel is open. It opens nothing without a login"`
}

// TunnelCreate asks for a tunnel to a host and port.
type TunnelCreate struct {
	Target     string `json:"target" maxLength:"262" example:"127.0.0.1:8080" doc:"HOST:PORT, or http://HOST:PORT or https://HOST:PORT for a web application, as the device sees it"`
	EndToEnd   bool   `json:"end_to_end,omitempty" doc:"Encrypt from the user's end to the device's"`
	TTLSeconds int64  `json:"ttl_seconds,omitempty" minimum:"60" maximum:"28800" doc:"Absent: an hour"`
	Reason     string `json:"reason,omitempty" maxLength:"500"`
}

// TerminalCreate asks for a shell. It is always encrypted from end to end.
type TerminalCreate struct {
	Record     bool   `json:"record,omitempty" doc:"Refuse it where it is not recorded"`
	TTLSeconds int64  `json:"ttl_seconds,omitempty" minimum:"60" maximum:"28800" doc:"Absent: an hour"`
	Reason     string `json:"reason,omitempty" maxLength:"500"`
}

// TunnelOpen opens a tunnel that is approved.
type TunnelOpen struct {
	ClientKey string `json:"client_key,omitempty" maxLength:"44" doc:"SHA-256 of the public key of the user's end, in base64; for end_to_end"`
	Hello     string `json:"hello,omitempty" maxLength:"8192" doc:"First letter of the user's end to the device's, in base64; for end_to_end"`
}

// TunnelOpening is what the user's end needs.
type TunnelOpening struct {
	Tunnel    Tunnel `json:"tunnel"`
	Gateway   string `json:"gateway" doc:"Where the user's end dials"`
	Ticket    string `json:"ticket" doc:"Opens the gateway, once, as a bearer's"`
	EntryURL  string `json:"entry_url,omitempty" doc:"Of a web application, which has no gateway and no ticket: where a browser enters, once, within two minutes"`
	DeviceKey string `json:"device_key" doc:"SHA-256 of the public key of the device's end, in base64"`
	Answer    string `json:"answer,omitempty" doc:"Of the device's end to the hello, in base64"`
}

// TunnelExtend lets a tunnel last from now.
type TunnelExtend struct {
	TTLSeconds int64 `json:"ttl_seconds" minimum:"60" maximum:"28800"`
}

// TunnelPolicy is what a project asks for before a tunnel is opened.
type TunnelPolicy struct {
	Approval  bool `json:"approval" doc:"One other person approves each tunnel"`
	Recording bool `json:"recording,omitempty" doc:"Nothing is opened that is not recorded: shells of devices that record"`
}
