// Give each case to the check, and print what it says: the id, or null where it is refused.
package main

import (
	"encoding/json"
	"errors"
	"os"
	"time"

	"example.com/receiver/webhooks"
)

type received struct {
	Secret  string
	Headers map[string]string
	Body    []byte
	Now     int64
}

func main() {
	var cases []received
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	verdicts := make([]*string, len(cases))
	for index, one := range cases {
		headers := map[string][]string{}
		for name, text := range one.Headers {
			headers[name] = []string{text}
		}
		id, err := webhooks.Verify(one.Secret, headers, one.Body, time.Unix(one.Now, 0))
		if err == nil {
			verdicts[index] = &id
		} else if !errors.Is(err, webhooks.ErrInvalidSignature) {
			panic(err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(verdicts); err != nil {
		panic(err)
	}
}
