package memory

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// unmapCode takes the program's own read-only pages out of this process. The kernel maps each that is used again from its
// cache; those that only the start needed, more than half of the program, do not come back.
func unmapCode() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if start, end, ok := codeRange(lines.Text(), program); ok {
			pages := unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&start))), end-start)
			_ = unix.Madvise(pages, unix.MADV_DONTNEED) // a kernel that refuses keeps them
		}
	}
}

// codeRange reads a line of /proc/self/maps: "start-end perms offset device inode path". Only pages of the program that
// can never have been written to are taken: the file has all that they hold.
func codeRange(line, program string) (start, end uintptr, ok bool) {
	fields := strings.Fields(line)
	if len(fields) != 6 || fields[5] != program || fields[1] != "r-xp" && fields[1] != "r--p" {
		return 0, 0, false
	}
	from, to, _ := strings.Cut(fields[0], "-")
	first, err1 := strconv.ParseUint(from, 16, 64)
	last, err2 := strconv.ParseUint(to, 16, 64)
	return uintptr(first), uintptr(last), err1 == nil && err2 == nil && first < last
}
