package artifact

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
)

// ModuleDir downloads a module, given as path@version, into Go's module cache and returns its folder there.
func ModuleDir(module string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module)
	cmd.Dir = "/" // outside every module: the version asked for counts, not that of a go.mod nearby
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+GoVersion, "GOWORK=off")
	out, err := cmd.Output()
	var answer struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &answer); jsonErr != nil || err != nil || answer.Dir == "" {
		return "", fmt.Errorf("download %s: %s (%w)", module, answer.Error, err)
	}
	return answer.Dir, nil
}
