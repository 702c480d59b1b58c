// Package webhooks checks the signature of a webhook (Standard Webhooks 1.0.0). Go 1.19 or later, no packages.
//
//	http.HandleFunc("/webhooks", func(w http.ResponseWriter, r *http.Request) {
//		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
//		if err != nil {
//			return
//		}
//		eventID, err := webhooks.Verify(os.Getenv("WEBHOOK_SECRET"), r.Header, body, time.Now())
//		if err != nil {
//			w.WriteHeader(http.StatusBadRequest)
//			return
//		}
//		// An event may come more than once: if you know eventID already, answer 204 and do nothing.
//		w.WriteHeader(http.StatusNoContent)
//	})
package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

const (
	tolerance      = 300 * time.Second
	secretBytesMin = 24
	signaturesMax  = 16
)

// ErrInvalidSignature says that it is not what we signed, or too old. Answer 400, and believe nothing of it.
var ErrInvalidSignature = errors.New("invalid webhook signature")

// Verify returns the event's id, or an error that is ErrInvalidSignature.
//
// The secret is the endpoint's, whsec_…; headers are those of http.Request. The body is the raw body, byte for byte as
// it came: not parsed, not written again.
func Verify(secret string, headers map[string][]string, body []byte, now time.Time) (string, error) {
	id := header(headers, "webhook-id")
	timestamp := header(headers, "webhook-timestamp")
	signatures := header(headers, "webhook-signature")
	if id == "" || timestamp == "" || signatures == "" {
		return "", invalid("one of the three webhook headers is not there once, in ASCII")
	}
	if len(timestamp) > 12 || strings.Trim(timestamp, "0123456789") != "" {
		return "", invalid("the timestamp is not a number of seconds")
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return "", invalid("the timestamp is not a number of seconds")
	}
	if away := now.Sub(time.Unix(seconds, 0)); away > tolerance || away < -tolerance {
		return "", invalid("the timestamp is too far from now")
	}
	encoded := strings.TrimPrefix(secret, "whsec_")
	key, err := base64.StdEncoding.DecodeString(encoded)
	// The decoder passes over line ends; written again it must be what was given.
	if err != nil || encoded == secret || len(key) < secretBytesMin || base64.StdEncoding.EncodeToString(key) != encoded {
		return "", invalid("the secret is not whsec_ and base64 of at least 24 bytes")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	expected := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	// While a secret is being rotated there is a signature by each. All are compared, each in constant time.
	matches := false
	for index, given := range strings.Split(signatures, " ") {
		if index < signaturesMax && hmac.Equal([]byte(given), expected) {
			matches = true
		}
	}
	if !matches {
		return "", invalid("no signature matches")
	}
	return id, nil
}

// header returns the text of a header that is there once, and all ASCII; else nothing.
func header(headers map[string][]string, wanted string) string {
	var found []string
	for name, values := range headers {
		if strings.EqualFold(name, wanted) {
			found = append(found, values...)
		}
	}
	if len(found) != 1 || strings.IndexFunc(found[0], func(r rune) bool { return r > 0x7f }) >= 0 {
		return ""
	}
	return found[0]
}

func invalid(why string) error {
	return fmt.Errorf("%w: %s", ErrInvalidSignature, why)
}
