package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"
)

var unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)

const environmentPrefix = "BULKHEAD_"

// elsewhere are variables of ours that are no keys of the server's configuration.
var elsewhere = []string{"BULKHEAD_CONTEXT_DIR", "BULKHEAD_TEST_", "BULKHEAD_INTERNAL_"}

// fromEnvironment sets the key a.b from BULKHEAD_A_B. A variable of the prefix that names no key is an error: a typing
// error must not become a silent default.
func fromEnvironment(c *Config, environ []string) error {
	fields := map[string]reflect.Value{}
	leaves(reflect.ValueOf(c).Elem(), environmentPrefix, fields)
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, environmentPrefix) || isElsewhere(name) {
			continue
		}
		field, known := fields[name]
		if !known {
			return fmt.Errorf("environment: %s names no key of the configuration", name)
		}
		if err := yaml.Unmarshal([]byte(value), field.Addr().Interface()); err != nil {
			return fmt.Errorf("environment: %s: %w", name, yamlFault(err))
		}
	}
	return nil
}

func isElsewhere(name string) bool {
	for _, prefix := range elsewhere {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func leaves(v reflect.Value, prefix string, into map[string]reflect.Value) {
	for i := range v.NumField() {
		name := prefix + strings.ToUpper(v.Type().Field(i).Tag.Get("yaml"))
		if v.Field(i).Kind() == reflect.Struct {
			leaves(v.Field(i), name+"_", into)
		} else {
			into[name] = v.Field(i)
		}
	}
}
