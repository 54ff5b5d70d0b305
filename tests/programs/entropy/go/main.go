// Prints all in which a run of a Go program could differ from another, as lines of a name and a value.
package main

import (
	"bufio"
	cryptorand "crypto/rand"
	"fmt"
	"hash/maphash"
	"io"
	"math/rand"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	showTime()
	showRandom()
	showIdentity()
	showAddresses()
	showFiles()
	showMachine()
}

func show(name string, value any) {
	fmt.Println(name, strings.ReplaceAll(fmt.Sprint(value), "\n", "\\n"))
}

func firstLine(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return "unreadable: " + err.Error()
	}
	defer file.Close()
	line, _ := bufio.NewReader(file).ReadString('\n')
	return strings.TrimSpace(line)
}

func showTime() {
	start := time.Now()
	show("now_ns", start.UnixNano())
	// The monotonic reading stands behind m=.
	show("now", start)
	time.Sleep(10 * time.Millisecond)
	show("sleep_10_ms_took_ns", time.Since(start).Nanoseconds())
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err == nil {
		show("ru_utime_us", usage.Utime.Sec*1_000_000+usage.Utime.Usec)
		show("ru_stime_us", usage.Stime.Sec*1_000_000+usage.Stime.Usec)
		show("ru_maxrss", usage.Maxrss)
		show("ru_minflt", usage.Minflt)
		show("ru_nvcsw", usage.Nvcsw)
		show("ru_nivcsw", usage.Nivcsw)
	}
}

func showRandom() {
	// Unseeded: fixed before Go 1.20, random from then on.
	show("rand", rand.Int63())
	show("rand_seeded_by_time", rand.New(rand.NewSource(time.Now().UnixNano())).Int63())
	bytes := make([]byte, 16)
	if _, err := cryptorand.Read(bytes); err == nil {
		show("crypto_rand", fmt.Sprintf("%x", bytes))
	}
	for _, device := range []string{"/dev/urandom", "/dev/random"} {
		if file, err := os.Open(device); err == nil {
			if _, err := io.ReadFull(file, bytes); err == nil {
				show(device, fmt.Sprintf("%x", bytes))
			}
			file.Close()
		}
	}
	var hash maphash.Hash
	_, _ = hash.WriteString("a")
	show("hash", hash.Sum64())
	goroutines := make(chan int)
	for number := 0; number < 8; number++ {
		go func(number int) {
			runtime.Gosched()
			goroutines <- number
		}(number)
	}
	finished := ""
	for range [8]int{} {
		finished += fmt.Sprint(<-goroutines)
	}
	show("goroutine_order", finished)
	order := ""
	for letter := range map[string]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8} {
		order += letter
	}
	show("map_order", order)
	ready := make(chan int, 8)
	chosen := ""
	for number := 0; number < cap(ready); number++ {
		ready <- number
	}
	for range [8]int{} {
		select {
		case <-ready:
			chosen += "a"
		case <-ready:
			chosen += "b"
		}
	}
	show("select_order", chosen)
	show("kernel_uuid", firstLine("/proc/sys/kernel/random/uuid"))
	show("boot_id", firstLine("/proc/sys/kernel/random/boot_id"))
}

func showIdentity() {
	show("pid", os.Getpid())
	show("ppid", os.Getppid())
	show("tid", syscall.Gettid())
	hostname, _ := os.Hostname()
	show("hostname", hostname)
	if current, err := user.Current(); err == nil {
		show("user", current.Username)
	}
	folder, _ := os.Getwd()
	show("cwd", folder)
	show("argv0", os.Args[0])
	for resource := 0; resource < 16; resource++ {
		var limit syscall.Rlimit
		if err := syscall.Getrlimit(resource, &limit); err == nil {
			show(fmt.Sprint("limit_", resource), limit)
		}
	}
	show("umask", syscall.Umask(0o22))
	interfaces, err := net.Interfaces()
	show("interfaces", fmt.Sprint(interfaces, err))
	show("local_time_zone", time.Now().Location())
	show("environment_order", strings.Join(os.Environ(), ","))
	variables := os.Environ()
	sort.Strings(variables)
	for _, variable := range variables {
		name, value, _ := strings.Cut(variable, "=")
		show("env_"+name, value)
	}
}

func showAddresses() {
	onStack := 0
	onHeap := new([64]int)
	show("heap_address", fmt.Sprintf("%p", onHeap))
	// As a plain number, so that the variable stays on the stack.
	show("stack_address", fmt.Sprintf("%#x", uintptr(unsafe.Pointer(&onStack))))
	show("function_address", fmt.Sprintf("%p", showAddresses))
	maps, _ := os.ReadFile("/proc/self/maps")
	for _, line := range strings.Split(string(maps), "\n") {
		words := strings.Fields(line)
		if len(words) == 6 && (words[5] == "[stack]" || words[5] == "[vdso]" || words[5] == "[heap]") {
			show("map"+words[5], words[0])
		}
	}
}

func showStat(prefix, path string) {
	var status syscall.Stat_t
	if err := syscall.Stat(path, &status); err != nil {
		return
	}
	show(prefix+"_inode", status.Ino)
	show(prefix+"_device", status.Dev)
	show(prefix+"_size", status.Size)
	show(prefix+"_mtime_ns", status.Mtim.Nano())
	show(prefix+"_ctime_ns", status.Ctim.Nano())
}

func showFiles() {
	if own, err := os.Executable(); err == nil {
		showStat("own_file", own)
	}
	folder, err := os.MkdirTemp("", "audit-")
	if err != nil {
		return
	}
	defer os.RemoveAll(folder)
	show("temporary_folder", folder)
	for _, name := range strings.Split("fdbhaecg", "") {
		_ = os.WriteFile(filepath.Join(folder, name), []byte(name), 0o600)
	}
	if listing, err := os.Open(folder); err == nil {
		names, _ := listing.Readdirnames(-1)
		listing.Close()
		show("listing_order", strings.Join(names, ","))
	}
	showStat("created_file", filepath.Join(folder, "a"))
	var disk syscall.Statfs_t
	if err := syscall.Statfs("/", &disk); err == nil {
		show("disk_free", disk.Bfree)
	}
}

func showMachine() {
	show("cpu_count", runtime.NumCPU())
	show("gomaxprocs", runtime.GOMAXPROCS(0))
	show("goroutines", runtime.NumGoroutine())
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	show("heap_bytes", memory.HeapAlloc)
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err == nil {
		show("sysinfo_uptime", info.Uptime)
		show("sysinfo_free_memory", info.Freeram)
	}
	for _, path := range []string{"/proc/uptime", "/proc/loadavg", "/proc/meminfo", "/proc/stat", "/proc/self/stat"} {
		show(path, firstLine(path))
	}
	if addresses, err := net.LookupHost("localhost"); err == nil {
		sort.Strings(addresses)
		show("localhost", strings.Join(addresses, ","))
	}
	if probe, err := net.ListenPacket("udp4", "127.0.0.1:0"); err == nil {
		show("free_port", probe.LocalAddr())
		probe.Close()
	}
}
