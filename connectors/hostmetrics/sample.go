package hostmetrics

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/common"
	"github.com/shirou/gopsutil/v4/cpu"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/load"
	"github.com/shirou/gopsutil/v4/mem"
	"github.com/shirou/gopsutil/v4/net"
	"github.com/shirou/gopsutil/v4/process"
)

// maxDevices bounds the disks and network interfaces of one sample, so that a
// host with thousands of virtual ones does not flood the topic.
const maxDevices = 64

// sampler reads the figures of one host. It keeps what the sample before saw
// of the CPUs, from which utilisation is computed.
type sampler struct {
	proc, sys string // roots; "" leaves gopsutil's rule: HOST_PROC, HOST_SYS, else /proc and /sys
	groups    []string
	before    cpu.TimesStat
	seen      bool
}

// groupReaders are the groups of figures by name; the order is that of the records.
func (s *sampler) readers() []struct {
	name string
	read func(context.Context) ([]metric, error)
} {
	return []struct {
		name string
		read func(context.Context) ([]metric, error)
	}{
		{"cpu", s.cpu}, {"memory", s.memory}, {"disk", s.disk}, {"network", s.network}, {"load", s.load}, {"process", s.process},
	}
}

// groupNames lists the groups.
func groupNames() []string {
	var out []string
	for _, r := range (&sampler{}).readers() {
		out = append(out, r.name)
	}
	return out
}

// sample reads every group. What can be read is returned even if something
// else failed; err then says what.
func (s *sampler) sample(ctx context.Context) (out []metric, err error) {
	ctx = s.roots(ctx)
	for _, r := range s.readers() {
		if !slices.Contains(s.groups, r.name) {
			continue
		}
		ms, rerr := r.read(ctx)
		if rerr != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", r.name, rerr))
		}
		out = append(out, ms...)
	}
	return out, err
}

func (s *sampler) roots(ctx context.Context) context.Context {
	env := common.EnvMap{}
	if s.proc != "" {
		env[common.HostProcEnvKey] = s.proc
	}
	if s.sys != "" {
		env[common.HostSysEnvKey] = s.sys
	}
	return context.WithValue(ctx, common.EnvKey, env)
}

func (s *sampler) cpu(ctx context.Context) ([]metric, error) {
	all, err := cpu.TimesWithContext(ctx, false)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	now := all[0]
	modes := cpuModes(now)
	out := make([]metric, 0, len(modes)+2)
	for _, m := range modes {
		out = append(out, counter("system.cpu.time", "s", m.seconds, "mode", m.name))
	}
	if s.seen {
		if u, ok := utilization(s.before, now); ok {
			out = append(out, gauge("system.cpu.utilization", "1", u))
		}
	}
	s.before, s.seen = now, true
	if n, err := cpu.CountsWithContext(ctx, true); err == nil && n > 0 {
		out = append(out, gauge("system.cpu.logical.count", "{cpu}", float64(n)))
	}
	return out, nil
}

type cpuMode struct {
	name    string
	seconds float64
}

func cpuModes(t cpu.TimesStat) []cpuMode {
	return []cpuMode{{"user", t.User}, {"system", t.System}, {"idle", t.Idle}, {"nice", t.Nice},
		{"iowait", t.Iowait}, {"interrupt", t.Irq + t.Softirq}, {"steal", t.Steal}}
}

// utilization is the share of time in which the CPUs were busy between two
// samples; ok is false if no time passed or the counters went back.
func utilization(before, now cpu.TimesStat) (float64, bool) {
	var total, idle float64
	a, b := cpuModes(before), cpuModes(now)
	for i := range a {
		d := max(b[i].seconds-a[i].seconds, 0)
		total += d
		if a[i].name == "idle" || a[i].name == "iowait" {
			idle += d
		}
	}
	if total <= 0 {
		return 0, false
	}
	return (total - idle) / total, true
}

func (s *sampler) memory(ctx context.Context) ([]metric, error) {
	v, err := mem.VirtualMemoryWithContext(ctx)
	if err != nil {
		return nil, err
	}
	out := []metric{
		gauge("system.memory.limit", "By", float64(v.Total)),
		gauge("system.memory.usage", "By", float64(v.Used), "state", "used"),
		gauge("system.memory.usage", "By", float64(v.Free), "state", "free"),
		gauge("system.memory.usage", "By", float64(v.Cached), "state", "cached"),
		gauge("system.memory.usage", "By", float64(v.Buffers), "state", "buffers"),
		gauge("system.memory.available", "By", float64(v.Available)),
	}
	if v.Total > 0 {
		out = append(out, gauge("system.memory.utilization", "1", 1-float64(v.Available)/float64(v.Total)))
	}
	sw, err := mem.SwapMemoryWithContext(ctx)
	if err != nil {
		return out, err
	}
	return append(out, gauge("system.paging.usage", "By", float64(sw.Used), "state", "used"),
		gauge("system.paging.usage", "By", float64(sw.Free), "state", "free")), nil
}

func (s *sampler) disk(ctx context.Context) ([]metric, error) {
	out, err := s.filesystems(ctx)
	io, ioErr := disk.IOCountersWithContext(ctx)
	names := make([]string, 0, len(io))
	for name := range io {
		if !strings.HasPrefix(name, "loop") && !strings.HasPrefix(name, "ram") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names[:min(len(names), maxDevices)] {
		c := io[name]
		out = append(out,
			counter("system.disk.io", "By", float64(c.ReadBytes), "device", name, "direction", "read"),
			counter("system.disk.io", "By", float64(c.WriteBytes), "device", name, "direction", "write"),
			counter("system.disk.operations", "{operation}", float64(c.ReadCount), "device", name, "direction", "read"),
			counter("system.disk.operations", "{operation}", float64(c.WriteCount), "device", name, "direction", "write"),
			counter("system.disk.io_time", "s", float64(c.IoTime)/1000, "device", name))
	}
	return out, errors.Join(err, ioErr)
}

func (s *sampler) filesystems(ctx context.Context) ([]metric, error) {
	parts, err := disk.PartitionsWithContext(ctx, false)
	var out []metric
	seen := map[string]bool{}
	for _, p := range parts {
		if seen[p.Device] || len(seen) >= maxDevices {
			continue // bind mounts show the same device again
		}
		seen[p.Device] = true
		u, err := disk.UsageWithContext(ctx, p.Mountpoint)
		if err != nil || u.Total == 0 {
			continue // not ours to read, or not a real file system
		}
		out = append(out,
			gauge("system.filesystem.usage", "By", float64(u.Used), "device", p.Device, "mountpoint", p.Mountpoint, "state", "used"),
			gauge("system.filesystem.usage", "By", float64(u.Free), "device", p.Device, "mountpoint", p.Mountpoint, "state", "free"),
			gauge("system.filesystem.utilization", "1", u.UsedPercent/100, "device", p.Device, "mountpoint", p.Mountpoint))
	}
	return out, err
}

func (s *sampler) network(ctx context.Context) ([]metric, error) {
	all, err := net.IOCountersWithContext(ctx, true)
	var out []metric
	for _, c := range all[:min(len(all), maxDevices)] {
		out = append(out,
			counter("system.network.io", "By", float64(c.BytesRecv), "interface", c.Name, "direction", "receive"),
			counter("system.network.io", "By", float64(c.BytesSent), "interface", c.Name, "direction", "transmit"),
			counter("system.network.packet.count", "{packet}", float64(c.PacketsRecv), "interface", c.Name, "direction", "receive"),
			counter("system.network.packet.count", "{packet}", float64(c.PacketsSent), "interface", c.Name, "direction", "transmit"),
			counter("system.network.errors", "{error}", float64(c.Errin+c.Errout), "interface", c.Name),
			counter("system.network.packet.dropped", "{packet}", float64(c.Dropin+c.Dropout), "interface", c.Name))
	}
	return out, err
}

func (s *sampler) load(ctx context.Context) ([]metric, error) {
	a, err := load.AvgWithContext(ctx)
	if err != nil {
		return nil, err
	}
	return []metric{
		gauge("system.load.1m", "1", a.Load1), gauge("system.load.5m", "1", a.Load5), gauge("system.load.15m", "1", a.Load15),
	}, nil
}

func (s *sampler) process(ctx context.Context) ([]metric, error) {
	pids, err := process.PidsWithContext(ctx)
	if err != nil {
		return nil, err
	}
	out := []metric{gauge("system.process.count", "{process}", float64(len(pids)))}
	m, err := load.MiscWithContext(ctx)
	if err != nil {
		return out, err
	}
	if runtime.GOOS == "linux" {
		out = append(out, counter("system.process.created", "{process}", float64(m.ProcsCreated)))
	}
	return append(out,
		gauge("system.process.running", "{process}", float64(m.ProcsRunning)),
		gauge("system.process.blocked", "{process}", float64(m.ProcsBlocked))), nil
}

// nextSample is the first time after now that is a whole multiple of the
// interval, so that the hosts of a site sample together.
func nextSample(now time.Time, interval time.Duration) time.Time {
	return now.Truncate(interval).Add(interval)
}
