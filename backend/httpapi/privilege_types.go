package httpapi

import (
	"time"

	"bulkhead/backend/privilege"
	"bulkhead/wire"
)

// Person is somebody as others see them.
type Person struct {
	Key       wire.Key `json:"key"`
	Kind      string   `json:"kind,omitempty" enum:"user,service_account" doc:"Absent where they are gone"`
	Name      string   `json:"name,omitempty"`
	Login     string   `json:"login,omitempty" doc:"Name to log in with, of a local account"`
	Suspended bool     `json:"suspended,omitempty"`
}

// AssetRef names an asset.
type AssetRef struct {
	Kind    wire.AssetKind `json:"kind"`
	Name    string         `json:"name,omitempty" doc:"As one types it: PROJECT, PROJECT/NAME, APP or PROJECT/APP@STAGE"`
	Project wire.Key       `json:"project_key,omitempty"`
	Key     wire.Key       `json:"key,omitempty" doc:"Of a data backend: its app's"`
	Stage   wire.Stage     `json:"stage,omitempty"`
}

// Catalogue is every privilege and every named set.
type Catalogue struct {
	Privileges []wire.Privilege `json:"privileges" nullable:"false"`
	Sets       []NamedSet       `json:"sets" nullable:"false"`
}

// NamedSet is a set of flags that people know by a name. A grant of it is one of its flags.
type NamedSet struct {
	Name  string      `json:"name"`
	Flags []wire.Flag `json:"flags" nullable:"false"`
}

// Grant gives somebody flags on an asset.
type Grant struct {
	Key       wire.Key    `json:"key"`
	Principal Person      `json:"principal"`
	Asset     AssetRef    `json:"asset"`
	Flags     []wire.Flag `json:"flags" nullable:"false"`
	From      time.Time   `json:"from,omitzero"`
	Until     time.Time   `json:"until,omitzero"`
	GivenBy   Person      `json:"given_by"`
	GivenAt   time.Time   `json:"given_at"`
}

// GrantCreate grants flags, or a named set's flags that can be had on the asset.
type GrantCreate struct {
	Principal string      `json:"principal" minLength:"1" maxLength:"320" doc:"Key, login name, display name or e-mail address"`
	Asset     string      `json:"asset" minLength:"1" maxLength:"200" doc:"project:PROJECT, device:PROJECT/NAME, group:PROJECT/NAME, app:APP or data_backend:PROJECT/APP@STAGE; keys may stand for names" example:"device:plant-a/press-1"`
	Flags     []wire.Flag `json:"flags,omitempty" maxItems:"100"`
	Set       string      `json:"set,omitempty" enum:"viewer,operator,installer,administrator" doc:"In place of flags"`
	From      *time.Time  `json:"from,omitempty" doc:"Absent: at once"`
	Until     *time.Time  `json:"until,omitempty" doc:"Absent: until it is revoked"`
}

// GrantRevoke takes flags back from what somebody was granted on one asset.
type GrantRevoke struct {
	Principal string      `json:"principal" minLength:"1" maxLength:"320"`
	Asset     string      `json:"asset" minLength:"1" maxLength:"200"`
	Flags     []wire.Flag `json:"flags,omitempty" maxItems:"100"`
	Set       string      `json:"set,omitempty" enum:"viewer,operator,installer,administrator"`
}

// Explanation tells why somebody may do something, or why not.
type Explanation struct {
	Principal Person    `json:"principal"`
	Flag      wire.Flag `json:"flag"`
	Asset     AssetRef  `json:"asset"`
	Allowed   bool      `json:"allowed"`
	Reasons   []Reason  `json:"reasons" nullable:"false"`
}

// Reason is one rule that was looked at.
type Reason struct {
	Rule  string `json:"rule" doc:"Stable: what a program may branch on"`
	Says  string `json:"says" enum:"allow,deny,nothing"`
	Text  string `json:"text"`
	Grant *Grant `json:"grant,omitempty" doc:"The grant that made it"`
}

// Member belongs to a project.
type Member struct {
	Principal Person     `json:"principal"`
	Limited   bool       `json:"limited" doc:"To groups: it reaches these and their devices only"`
	Groups    []wire.Key `json:"groups,omitempty"`
	AddedAt   time.Time  `json:"added_at"`
	Warning   string     `json:"warning,omitempty" doc:"In the answer to who adds them: why what they have in the project does not count"`
}

// MemberCreate lets somebody into a project.
type MemberCreate struct {
	Principal string   `json:"principal" minLength:"1" maxLength:"320" doc:"Key, login name, display name or e-mail address"`
	Limited   bool     `json:"limited,omitempty"`
	Groups    []string `json:"groups,omitempty" maxItems:"1000" doc:"Names or keys of the groups that it is limited to"`
}

// MemberUpdate says anew to what a member is limited.
type MemberUpdate struct {
	Limited bool     `json:"limited"`
	Groups  []string `json:"groups,omitempty" maxItems:"1000"`
}

// Defaults is what each member of a project may do with every asset in it.
type Defaults struct {
	Flags []wire.Flag `json:"flags" nullable:"false" maxItems:"100"`
}

// Owner owns a project.
type Owner struct {
	Principal Person    `json:"principal"`
	Since     time.Time `json:"since"`
}

// Transfer offers a project to a new owner.
type Transfer struct {
	Key        wire.Key  `json:"key"`
	ProjectKey wire.Key  `json:"project_key"`
	Project    string    `json:"project"`
	From       Person    `json:"from"`
	To         Person    `json:"to"`
	Keep       bool      `json:"keep" doc:"The one who offers stays an owner too"`
	OfferedAt  time.Time `json:"offered_at"`
	ExpiresAt  time.Time `json:"expires_at"`
}

// TransferCreate offers a project.
type TransferCreate struct {
	To   string `json:"to" minLength:"1" maxLength:"320" doc:"Key, login name, display name or e-mail address"`
	Keep bool   `json:"keep,omitempty" doc:"Stay an owner too"`
}

// Group is a named set of a project's devices.
type Group struct {
	Key        wire.Key  `json:"key"`
	ProjectKey wire.Key  `json:"project_key"`
	Name       string    `json:"name"`
	Title      string    `json:"title,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	ETag       string    `json:"etag"`
}

// GroupCreate makes a group.
type GroupCreate struct {
	Name  string `json:"name" maxLength:"63" pattern:"^[a-z][a-z0-9-]{0,62}$" example:"hall-1"`
	Title string `json:"title,omitempty" maxLength:"200"`
}

// GroupUpdate changes what is set.
type GroupUpdate struct {
	Name  *string `json:"name,omitempty" maxLength:"63" pattern:"^[a-z][a-z0-9-]{0,62}$"`
	Title *string `json:"title,omitempty" maxLength:"200"`
}

func refOf(a privilege.Asset, name string) AssetRef {
	return AssetRef{Kind: a.Kind, Name: name, Project: a.Project, Key: a.Key, Stage: a.Stage}
}
