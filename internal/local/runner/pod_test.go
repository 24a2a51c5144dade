package runner

import "testing"

func TestShellText(t *testing.T) {
	for command, want := range map[string]string{
		"leno-shop serve": "exec leno-shop serve",
		"python3 -m http.server --bind $HOST $PORT": "exec python3 -m http.server --bind $HOST $PORT",
		"cd web && npm start":                       "cd web && npm start",
		"DEBUG=1 ./server":                          "DEBUG=1 ./server",
		"a; b":                                      "a; b",
	} {
		if got := shellText(command); got != want {
			t.Errorf("%q becomes %q, want %q", command, got, want)
		}
	}
}
