package dev

import (
	"encoding/json"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// Ready is what the ready file says: where everything is that `bulkhead dev` started. Secrets stand in files of their own.
type Ready struct {
	API             string         `json:"api"`
	Router          string         `json:"router"`
	AgentRouter     string         `json:"agent_router"`
	Ops             string         `json:"ops"`
	CAFile          string         `json:"ca_file"`
	OwnerAPIKeyFile string         `json:"owner_api_key_file"`
	DatabaseURL     string         `json:"database_url"`
	PIDs            PIDs           `json:"pids"`
	OIDC            ReadyOIDC      `json:"oidc"`
	SamplePage      string         `json:"sample_page"` // a web application that the sample devices reach
	Users           []ReadyUser    `json:"users"`
	Projects        []ReadyProject `json:"projects"`
}

// PIDs are the processes. Postgres is absent where --database-url names a server of its own.
type PIDs struct {
	Server   int   `json:"server"`
	Postgres int   `json:"postgres,omitempty"`
	Agents   []int `json:"agents"`
}

// ReadyOIDC is the provider with which the sample users log in.
type ReadyOIDC struct {
	Issuer string `json:"issuer"`
}

// ReadyUser is one sample user.
type ReadyUser struct {
	Name           string `json:"name"`
	PasswordFile   string `json:"password_file"`
	TOTPSecretFile string `json:"totp_secret_file"`
}

// ReadyProject is one sample project.
type ReadyProject struct {
	Key           wire.Key            `json:"key"`
	Name          string              `json:"name"`
	DeviceRealm   string              `json:"device_realm"`
	Installations []ReadyInstallation `json:"installations"`
	Devices       []ReadyDevice       `json:"devices"`
}

// ReadyInstallation is one sample installation.
type ReadyInstallation struct {
	AppKey  wire.Key     `json:"app_key"`
	App     string       `json:"app"`
	Stage   wire.Stage   `json:"stage"`
	Realm   string       `json:"realm"`
	Schema  string       `json:"schema"`
	Table   string       `json:"table"`
	Service ReadyService `json:"service"`
}

// ReadyService is a principal that may do anything in the installation's realm.
type ReadyService struct {
	AuthID     string `json:"authid"`
	SecretFile string `json:"secret_file"`
}

// ReadyDevice is one sample device.
type ReadyDevice struct {
	Key       wire.Key    `json:"key"`
	Serial    wire.Serial `json:"serial"`
	Name      string      `json:"name"`
	FlashFile string      `json:"flash_file"`
}

// Write writes the ready file, so that who sees it sees all of it.
func (r Ready) Write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return errs.As(wire.Invalid, secret.WriteFile(file, append(text, '\n')), "the ready file %s cannot be written", file)
}

func writeFlash(file string, f wire.Flash) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	return secret.WriteFile(file, append(text, '\n'))
}
