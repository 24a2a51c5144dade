package memory

import (
	"testing"
	"testing/fstest"
)

func TestLimit(t *testing.T) {
	const none = "9223372036854771712\n" // how version 1 writes it
	for name, tc := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"version 2, in a container": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728\n"}, 134217728},
		"version 2, no limit": {map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"version 2, the host's view": {map[string]string{
			"proc/self/cgroup": "0::/kubepods/burstable/pod1/proxy\n",
			"sys/fs/cgroup/kubepods/burstable/pod1/proxy/memory.max": "67108864\n"}, 67108864},
		"version 2, the pod's limit is smaller": {map[string]string{
			"proc/self/cgroup": "0::/kubepods/pod1/proxy\n",
			"sys/fs/cgroup/kubepods/pod1/proxy/memory.max": "67108864\n",
			"sys/fs/cgroup/kubepods/pod1/memory.max":       "33554432\n",
			"sys/fs/cgroup/kubepods/memory.max":            "max\n"}, 33554432},
		"version 2, named by the host, mounted from the container on": {map[string]string{
			"proc/self/cgroup": "0::/kubepods/pod1/proxy\n", "sys/fs/cgroup/memory.max": "50000000\n"}, 50000000},
		"version 1": {map[string]string{
			"proc/self/cgroup":                                    "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n1:name=systemd:/docker/1\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":          none,
			"sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes": "268435456\n"}, 268435456},
		"version 1, mounted from the container on": {map[string]string{
			"proc/self/cgroup":                           "4:hugetlb,memory:/docker/1\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "268435456\n"}, 268435456},
		"version 1, no limit": {map[string]string{
			"proc/self/cgroup": "4:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": none}, 0},
		"both, memory under version 1": {map[string]string{
			"proc/self/cgroup": "4:memory:/a\n0::/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1000000000\n"}, 1000000000},
		"no /proc": {map[string]string{"sys/fs/cgroup/memory.max": "1000000000\n"}, 1000000000},
		"nothing":  {map[string]string{}, 0},
		"garbage":  {map[string]string{"proc/self/cgroup": "x\n:::\n0::relative\n", "sys/fs/cgroup/memory.max": "-1"}, 0},
	} {
		root := fstest.MapFS{}
		for path, text := range tc.files {
			root[path] = &fstest.MapFile{Data: []byte(text)}
		}
		limit, file, ok := Limit(root)
		if limit != tc.want || ok != (tc.want != 0) {
			t.Errorf("%s: %d of %q, %v; want %d", name, limit, file, ok, tc.want)
		}
	}
}
