package coordination

import (
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Endpoint is one advertised listener of a broker.
type Endpoint struct {
	Listener         string // e.g. PLAINTEXT, INTERNAL
	SecurityProtocol string // PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
	Host             string
	Port             int32
}

// BrokerRegistration is the payload of /brokers/ids/<id>. The node's czxid is
// the broker's epoch.
type BrokerRegistration struct {
	Endpoints   []Endpoint
	JMXPort     int32 // -1: none
	TimestampMs int64
	Rack        string // empty: none
	Features    map[string]FeatureRange
}

// FeatureRange is a range of feature levels a broker supports.
type FeatureRange struct{ Min, Max int16 }

// Encode writes version 5. host and port are those of the first PLAINTEXT
// endpoint, for clients that know no others: without one null and -1.
func (r *BrokerRegistration) Encode() []byte {
	host, port := []byte("null"), int32(-1)
	protocols := newObject()
	urls := make([]string, len(r.Endpoints))
	for i, e := range r.Endpoints {
		urls[i] = e.Listener + "://" + net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
		if e.Host == "" {
			urls[i] = e.Listener + "://:" + strconv.Itoa(int(e.Port))
		}
		protocols.str(e.Listener, e.SecurityProtocol)
		if e.SecurityProtocol == "PLAINTEXT" && port < 0 {
			host, port = appendString(nil, e.Host), e.Port
		}
	}
	o := newObject()
	o.raw("features", r.encodeFeatures())
	o.raw("listener_security_protocol_map", protocols.end())
	o.raw("endpoints", stringArray(urls))
	if r.Rack != "" {
		o.str("rack", r.Rack)
	}
	o.num("jmx_port", int64(r.JMXPort)).num("port", int64(port)).raw("host", host)
	return o.num("version", 5).str("timestamp", strconv.FormatInt(r.TimestampMs, 10)).end()
}

func (r *BrokerRegistration) encodeFeatures() []byte {
	o := newObject()
	for _, name := range sortedKeys(r.Features) {
		f := r.Features[name]
		o.raw(name, newObject().num("min_version", int64(f.Min)).num("max_version", int64(f.Max)).end())
	}
	return o.end()
}

// brokerIDJSON has the fields of all versions: 1 host and port; 2 endpoints;
// 3 rack; 4 listener_security_protocol_map; 5 features.
type brokerIDJSON struct {
	Version   *int32                      `json:"version"`
	Host      *string                     `json:"host"`
	Port      int32                       `json:"port"`
	JMXPort   *int32                      `json:"jmx_port"`
	Timestamp flexibleInt                 `json:"timestamp"`
	Endpoints []string                    `json:"endpoints"`
	Protocols map[string]string           `json:"listener_security_protocol_map"`
	Rack      *string                     `json:"rack"`
	Features  map[string]map[string]int16 `json:"features"`
}

// DecodeBrokerRegistration reads every version.
func DecodeBrokerRegistration(b []byte) (BrokerRegistration, error) {
	var j brokerIDJSON
	var r BrokerRegistration
	if err := decode("broker registration", b, &j); err != nil {
		return r, err
	}
	if j.Version == nil || *j.Version < 1 {
		return r, fmt.Errorf("%w: broker registration without version", ErrBadPayload)
	}
	r.JMXPort, r.TimestampMs = -1, int64(j.Timestamp)
	if j.JMXPort != nil {
		r.JMXPort = *j.JMXPort
	}
	if j.Rack != nil {
		r.Rack = *j.Rack
	}
	if *j.Version == 1 {
		if j.Host == nil {
			return r, fmt.Errorf("%w: broker registration without host", ErrBadPayload)
		}
		r.Endpoints = []Endpoint{{"PLAINTEXT", "PLAINTEXT", *j.Host, j.Port}}
		return r, nil
	}
	for _, s := range j.Endpoints {
		e, err := parseEndpoint(s, j.Protocols)
		if err != nil {
			return r, err
		}
		r.Endpoints = append(r.Endpoints, e)
	}
	for name, f := range j.Features {
		if r.Features == nil {
			r.Features = make(map[string]FeatureRange, len(j.Features))
		}
		r.Features[name] = FeatureRange{f["min_version"], f["max_version"]}
	}
	return r, nil
}

// parseEndpoint reads LISTENER://host:port. Without a map, the listener's name
// is its security protocol.
func parseEndpoint(s string, protocols map[string]string) (Endpoint, error) {
	listener, address, ok := strings.Cut(s, "://")
	if !ok {
		return Endpoint{}, fmt.Errorf("%w: endpoint %q", ErrBadPayload, s)
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%w: endpoint %q", ErrBadPayload, s)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return Endpoint{}, fmt.Errorf("%w: endpoint %q", ErrBadPayload, s)
	}
	protocol := protocols[listener]
	if protocol == "" {
		protocol = listener
	}
	return Endpoint{Listener: listener, SecurityProtocol: protocol, Host: host, Port: int32(port)}, nil
}

// flexibleInt reads a number that some versions write as a string.
type flexibleInt int64

// UnmarshalJSON accepts 5 and "5".
func (f *flexibleInt) UnmarshalJSON(b []byte) error {
	var n int64
	if len(b) > 0 && b[0] == '"' {
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return err
		}
		*f = flexibleInt(v)
		return nil
	}
	if err := json.Unmarshal(b, &n); err != nil {
		return err
	}
	*f = flexibleInt(n)
	return nil
}
