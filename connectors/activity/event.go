package activity

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/leatstream/leat/connect/data"
)

// Schema is the schema of the events.
func Schema() *data.Schema {
	return data.NewRecord("leat.Activity",
		data.Field{Name: "event_id", Schema: data.StringSchema}, // <seed in hex>-<sequence, 12 digits>
		data.Field{Name: "at", Schema: data.TimestampSchema},
		data.Field{Name: "action", Schema: data.StringSchema}, // login, view, search, click, share or like
		data.Field{Name: "member_id", Schema: data.Int64Schema},
		data.Field{Name: "page", Schema: data.StringSchema},
		data.Field{Name: "query", Schema: data.StringSchema}, // search term; "" unless action is search
		data.Field{Name: "country", Schema: data.StringSchema},
		data.Field{Name: "session", Schema: data.StringSchema},
		data.Field{Name: "ms", Schema: data.Float64Schema}, // time the site took to answer
		data.Field{Name: "device", Schema: data.StringSchema},
		data.Field{Name: "bot", Schema: data.BooleanSchema},
	)
}

// event is one user event.
type event struct {
	sequence int64
	action   string
	member   int64
	page     string
	query    string
	country  string
	session  string
	ms       float64
	device   string
	bot      bool
}

func (e *event) value(s *data.Schema, seed int64, at time.Time) *data.Struct {
	return data.StructOf(s, eventID(seed, e.sequence), at, e.action, e.member, e.page, e.query,
		e.country, e.session, e.ms, e.device, e.bot)
}

func eventID(seed, sequence int64) string { return fmt.Sprintf("%x-%012d", uint64(seed), sequence) }

// generator makes events; it is a pure function of its fields and the sequence number.
type generator struct {
	seed       int64
	members    int64
	trendEvery int64 // events per trend period
}

// The shares of the actions in percent, and where they happen.
var actions = []struct {
	name  string
	share int
	page  string // "" is a content page
}{
	{"view", 58, ""}, {"search", 16, "/search"}, {"click", 12, ""},
	{"like", 7, ""}, {"login", 4, "/login"}, {"share", 3, ""},
}

var (
	sections  = []string{"jobs", "feed", "in", "company", "learning", "groups", "news", "events"}
	countries = []string{"US", "IN", "BR", "GB", "FR", "DE", "CA", "AU", "ES", "NL", "IT", "MX", "JP", "SE", "ZA", "PL"}
	devices   = []string{"phone", "desktop", "tablet"}
	terms     = []string{"data engineer", "go developer", "stream processing", "remote", "kafka", "designer", "nurse",
		"product manager", "machine learning", "internship", "zookeeper", "accountant", "parquet", "site reliability",
		"teacher", "hadoop", "sales", "rust", "electrician", "security analyst", "part time", "berlin", "london",
		"bangalore", "open source", "salary", "cloud architect", "logistics", "biology", "robotics", "translator",
		"photography", "civil engineer", "payroll", "startup", "chef", "python", "customer success", "legal", "pilot"}
)

const contentPages = 400

// event makes the n-th event.
func (g *generator) event(n int64) event {
	r := random{state: mix(uint64(g.seed)) ^ uint64(n)*0x9e3779b97f4a7c15}
	e := event{sequence: n, member: 1 + r.zipf(g.members)}
	// What belongs to a member is derived from the member, so that it stays.
	who := random{state: mix(uint64(g.seed)+1) ^ uint64(e.member)}
	e.bot = who.below(100) < 3
	e.country = countries[who.zipf(int64(len(countries)))]
	e.device = devices[who.zipf(int64(len(devices)))]
	e.session = strconv.FormatUint(mix(uint64(e.member)<<20^uint64(n/g.trendEvery))>>24, 36)
	g.act(&e, &r)
	// Log-normal around 40 ms, with a slow tail.
	e.ms = math.Round(40*math.Exp(0.8*r.normal())*100) / 100
	return e
}

func (g *generator) act(e *event, r *random) {
	pick := int(r.below(100))
	for _, a := range actions {
		if pick -= a.share; pick >= 0 {
			continue
		}
		e.action, e.page = a.name, a.page
		break
	}
	if e.page == "" {
		p := r.zipf(contentPages)
		e.page = "/" + sections[p%int64(len(sections))] + "/" + strconv.FormatInt(p, 10)
	}
	if e.action == "search" {
		e.query = g.term(e.sequence, r)
	}
}

// term picks a search term: a third of all searches are for the hot term of
// the period, the rest follow Zipf's law over a ranking that shifts with it.
func (g *generator) term(n int64, r *random) string {
	period := n / g.trendEvery
	count := int64(len(terms))
	hot := int64(mix(uint64(g.seed)^uint64(period)*0xd1342543de82ef95) % uint64(count))
	if r.below(3) == 0 {
		return terms[hot]
	}
	return terms[(r.zipf(count)+period)%count]
}

// random is a splitmix64 sequence: small, and cheap to seed for every event.
type random struct{ state uint64 }

func (r *random) next() uint64 {
	r.state += 0x9e3779b97f4a7c15
	return mix(r.state)
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *random) below(n uint64) uint64 { return r.next() % n }

// float is uniform in [0, 1).
func (r *random) float() float64 { return float64(r.next()>>11) / (1 << 53) }

// zipf gives a rank in [0, n) with a chance of about 1/(rank+1).
func (r *random) zipf(n int64) int64 {
	return min(int64(math.Exp(r.float()*math.Log(float64(n)+1)))-1, n-1)
}

func (r *random) normal() float64 {
	u := 1 - r.float() // (0, 1]: the logarithm is finite
	return math.Sqrt(-2*math.Log(u)) * math.Cos(2*math.Pi*r.float())
}
