package enroll

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// FileToken reads a projected service-account token from a file, anew at each call: the kubelet replaces it.
func FileToken(path string) func() (string, error) {
	return func() (string, error) {
		file, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("%w (is the projected token volume mounted?)", err)
		}
		defer func() { _ = file.Close() }()
		text, err := io.ReadAll(io.LimitReader(file, maxToken+1))
		if err != nil {
			return "", err
		}
		token := strings.TrimSpace(string(text))
		if token == "" || len(text) > maxToken {
			return "", errors.New(path + ": not a token")
		}
		return token, nil
	}
}
