package conf

import (
	"regexp"
	"slices"
	"strings"
)

// The variables below configure images, JVMs and launch scripts, not the
// broker. They are named without their prefix.
var (
	envStripped = []string{
		"VERSION", "HOME", "HEAP_OPTS", "OPTS", "JMX_OPTS", "JMX_PORT", "JMX_HOSTNAME",
		"GC_LOG_OPTS", "JVM_PERFORMANCE_OPTS", "DEBUG", "CREATE_TOPICS",
	}
	envStrippedPrefix = []string{"LOG4J_", "SERVICE_"}
	envStrippedSuffix = []string{"_COMMAND"}

	// envServiceLink matches what Kubernetes injects for a service whose name
	// starts with "kafka": KAFKA_PORT_9092_TCP_ADDR, KAFKA_HEADLESS_SERVICE_HOST.
	envServiceLink = regexp.MustCompile(`(^|_)(SERVICE_(HOST|PORT)|PORT_[0-9]+_(TCP|UDP|SCTP))(_|$)`)

	// envEmptyIsUnset lists keys that a chart fills from a label which may be
	// missing: the empty text then means "not given".
	envEmptyIsUnset = []string{"broker.id", "node.id", "broker.rack"}
)

// FromEnv decodes the variables of an environment ("NAME=value" each) that carry
// broker keys. KAFKA_CFG_ and KAFKA_ are the prefixes of the known container
// images, LEAT_ is ours and wins over them. In a name "___" stands for '-', "__" for '_' and
// "_" for '.'. A LEAT_ variable counts only when known says that it is a key,
// because flags of the command line share the prefix.
func FromEnv(environ []string, known func(key string) bool) map[string]string {
	values := map[string]string{}
	for _, prefix := range []string{"KAFKA_", "KAFKA_CFG_", "LEAT_"} {
		for _, entry := range environ {
			name, value, ok := strings.Cut(entry, "=")
			if !ok || !strings.HasPrefix(name, prefix) || strings.HasPrefix(value, "tcp://") {
				continue
			}
			rest := name[len(prefix):]
			if prefix == "KAFKA_" && strings.HasPrefix(rest, "CFG_") || stripped(rest) {
				continue
			}
			key := envKey(rest)
			if prefix == "LEAT_" && (known == nil || !known(key)) {
				continue
			}
			if value == "" && slices.Contains(envEmptyIsUnset, key) {
				continue
			}
			values[key] = value
		}
	}
	return values
}

func stripped(name string) bool {
	hasPrefix := func(p string) bool { return strings.HasPrefix(name, p) }
	hasSuffix := func(s string) bool { return strings.HasSuffix(name, s) }
	return name == "" || slices.Contains(envStripped, name) ||
		slices.ContainsFunc(envStrippedPrefix, hasPrefix) ||
		slices.ContainsFunc(envStrippedSuffix, hasSuffix) ||
		envServiceLink.MatchString(name)
}

// envKey decodes a name from its left, longest run of underscores first.
func envKey(name string) string {
	var b strings.Builder
	for name != "" {
		switch {
		case strings.HasPrefix(name, "___"):
			b.WriteByte('-')
			name = name[3:]
		case strings.HasPrefix(name, "__"):
			b.WriteByte('_')
			name = name[2:]
		case name[0] == '_':
			b.WriteByte('.')
			name = name[1:]
		default:
			b.WriteString(strings.ToLower(name[:1]))
			name = name[1:]
		}
	}
	return b.String()
}
