package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"

	"bulkhead/internal/errs"
	"bulkhead/internal/secret"
	"bulkhead/wire"
)

// target says which server a command talks to and as whom: by flags, or by a context.
type target struct{ context, server, caFile, apiKeyFile string }

func (t *target) flags(flags *pflag.FlagSet) {
	flags.StringVar(&t.context, "context", "", "context to use in place of the current one")
	flags.StringVar(&t.server, "server", "", "URL of the server, https://HOST")
	flags.StringVar(&t.caFile, "ca-file", "", "authority to know the server by (PEM); the system's where it is missing")
	flags.StringVar(&t.apiKeyFile, "api-key-file", "", "file with an API key")
}

// Context is one remembered server, and as whom to talk to it: by a login where there is one, else by an API key.
type Context struct {
	Server     string `yaml:"server" json:"server"`
	CAFile     string `yaml:"ca_file,omitempty" json:"ca_file,omitempty"`
	APIKeyFile string `yaml:"api_key_file,omitempty" json:"api_key_file,omitempty"`
	Login      *Login `yaml:"login,omitempty" json:"login,omitempty"`
	Seen       string `yaml:"seen,omitempty" json:"seen,omitempty"` // see seenIn

	name string // "" where flags name the server
}

// Contexts is the folder of remembered servers: NAME.yaml each, and "current" with the name of one.
type Contexts struct{ Dir string }

var contextName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// OpenContexts finds the folder: $BULKHEAD_CONTEXT_DIR, or bulkhead in the user's configuration folder.
func OpenContexts(environ []string) (Contexts, error) {
	if dir := lookup(environ, "BULKHEAD_CONTEXT_DIR"); dir != "" {
		return Contexts{dir}, nil
	}
	if dir := lookup(environ, "XDG_CONFIG_HOME"); dir != "" {
		return Contexts{filepath.Join(dir, "bulkhead")}, nil
	}
	if home := lookup(environ, "HOME"); home != "" {
		return Contexts{filepath.Join(home, ".config", "bulkhead")}, nil
	}
	return Contexts{}, errs.E(wire.Invalid, "no place for contexts: set BULKHEAD_CONTEXT_DIR or HOME")
}

func lookup(environ []string, name string) string {
	for _, entry := range slices.Backward(environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// Put remembers a context and makes it the current one where there is none.
func (c Contexts) Put(name string, context Context) error {
	if !contextName.MatchString(name) {
		return errs.E(wire.Invalid, "%q is no name of a context", name)
	}
	if err := c.makeDir(); err != nil {
		return err
	}
	text, err := yaml.Marshal(context)
	if err != nil {
		return err
	}
	if err := secret.WriteFile(c.file(name), text); err != nil {
		return err
	}
	if current, err := c.Current(); err != nil || current != "" {
		return err
	}
	return c.Use(name)
}

// Use makes a context the current one.
func (c Contexts) Use(name string) error {
	if _, err := c.Get(name); err != nil {
		return err
	}
	return secret.WriteFile(filepath.Join(c.Dir, "current"), []byte(name+"\n"))
}

// Current names the current context; "" where there is none.
func (c Contexts) Current() (string, error) {
	if err := c.checkDir(); err != nil {
		return "", err
	}
	text, err := os.ReadFile(filepath.Join(c.Dir, "current"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// Get reads a context.
func (c Contexts) Get(name string) (Context, error) {
	if !contextName.MatchString(name) {
		return Context{}, errs.E(wire.Invalid, "%q is no name of a context", name)
	}
	if err := c.checkDir(); err != nil {
		return Context{}, err
	}
	text, err := os.ReadFile(c.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return Context{}, errs.E(wire.NotFound, "no context %q; see: bulkhead context list", name)
	}
	if err != nil {
		return Context{}, err
	}
	var context Context
	if err := yaml.Unmarshal(text, &context); err != nil {
		return Context{}, errs.E(wire.Invalid, "%s: %v", c.file(name), err)
	}
	context.name = name
	return context, nil
}

// Names lists the contexts.
func (c Contexts) Names() ([]string, error) {
	files, err := filepath.Glob(filepath.Join(c.Dir, "*.yaml"))
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(filepath.Base(file), ".yaml")
	}
	return names, err
}

// Delete forgets a context with its login, and that it was the current one.
func (c Contexts) Delete(name string) error {
	context, err := c.Get(name)
	if errs.KindOf(err) == wire.NotFound {
		return nil
	}
	if err == nil && context.Login != nil {
		if err := c.forgetToken(context); err != nil {
			return err
		}
	}
	if current, err := c.Current(); err == nil && current == name {
		if err := os.Remove(filepath.Join(c.Dir, "current")); err != nil {
			return err
		}
	}
	err = os.Remove(c.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (c Contexts) file(name string) string { return filepath.Join(c.Dir, name+".yaml") }

// resolve gives the server to talk to: flags win over the context. What a context proves is for its own server: with
// another one, a credential must be given as well.
func (inv *invocation) resolve() (Context, error) {
	var context Context
	if inv.target.server == "" || inv.target.context != "" {
		found, err := inv.currentContext()
		if err != nil {
			return Context{}, err
		}
		context = found
	}
	if inv.target.server != "" && strings.TrimSuffix(inv.target.server, "/") != strings.TrimSuffix(context.Server, "/") {
		context = Context{CAFile: context.CAFile, Server: inv.target.server}
	}
	override(&context.CAFile, inv.target.caFile)
	if inv.target.apiKeyFile != "" {
		context.APIKeyFile, context.Login = inv.target.apiKeyFile, nil
	}
	err := context.checkServer()
	return context, err
}

// checkServer puts the URL of the server in its one form.
func (c *Context) checkServer() error {
	u, err := url.Parse(c.Server)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
		return errs.E(wire.Invalid, "server %q: want a URL like https://bulkhead.example", c.Server)
	}
	c.Server = "https://" + u.Host
	return nil
}

func override(value *string, with string) {
	if with != "" {
		*value = with
	}
}

func (inv *invocation) currentContext() (Context, error) {
	contexts, err := OpenContexts(inv.environ)
	if err != nil {
		return Context{}, err
	}
	name := inv.target.context
	if name == "" {
		if name, err = contexts.Current(); err != nil {
			return Context{}, err
		}
	}
	if name == "" {
		return Context{}, errs.E(wire.Invalid, "no server: give --server URL --ca-file FILE --api-key-file FILE, or log in with: bulkhead login --server URL, or start one with: bulkhead dev")
	}
	return contexts.Get(name)
}

// tlsConfig trusts the context's authority and no other, or the system's where the context has none.
func (c Context) tlsConfig() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CAFile == "" {
		return config, nil
	}
	text, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, errs.As(wire.Invalid, err, "authority file %s cannot be read%s", c.CAFile, c.gone())
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(text) {
		return nil, errs.E(wire.Invalid, "%s has no certificate in PEM", c.CAFile)
	}
	return config, nil
}

// apiKey reads the API key of a context.
func (c Context) apiKey() (secret.Value, error) {
	if c.APIKeyFile == "" {
		return secret.Value{}, errs.E(wire.Unauthenticated, "not logged in to %s: type: bulkhead login%s, or give --api-key-file FILE", c.Server, c.flag())
	}
	text, err := os.ReadFile(c.APIKeyFile)
	if err != nil {
		return secret.Value{}, errs.As(wire.Unauthenticated, err, "API key file %s cannot be read", c.APIKeyFile)
	}
	return credentialOf(text, "API key file "+c.APIKeyFile)
}

// flag is what a command needs to mean this context.
func (c Context) flag() string {
	if c.name == "" {
		return " --server " + c.Server
	}
	return ""
}

// credentialOf reads a file of one credential.
func credentialOf(text []byte, what string) (secret.Value, error) {
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsAny(key, " \r\n\t") {
		return secret.Value{}, errs.E(wire.Unauthenticated, "%s holds no key", what)
	}
	return secret.FromString(key), nil
}
