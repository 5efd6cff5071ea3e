package provision

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"bulkhead/internal/secret"
)

// scramIterations is PostgreSQL's own number. The passwords are 256 random bits, so that more would only slow logins.
const scramIterations = 4096

// verifier gives what PostgreSQL stores of a password (RFC 5803). It is computed here, so that neither the server nor its
// log ever sees the password.
func verifier(password secret.Value) (string, error) {
	var salt [16]byte
	_, _ = rand.Read(salt[:]) // crypto/rand.Read never fails (Go 1.24 and later)
	return verifierWith(password, salt[:], scramIterations)
}

func verifierWith(password secret.Value, salt []byte, iterations int) (string, error) {
	salted, err := pbkdf2.Key(sha256.New, string(password.Reveal()), salt, iterations, sha256.Size)
	if err != nil {
		return "", err
	}
	stored := sha256.Sum256(keyed(salted, "Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", iterations, b64(salt), b64(stored[:]), b64(keyed(salted, "Server Key"))), nil
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
