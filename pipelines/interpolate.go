package pipelines

import "regexp"

// Options are what a document may take from outside.
type Options struct {
	// Env looks up environment variables; only those that the document lists
	// under env are asked for. Nil has none.
	Env func(name string) (string, bool)
	// Params override the defaults of the document's params.
	Params map[string]string
}

var reference = regexp.MustCompile(`\$\{([a-z]+):([^}:]*)(:-([^}]*))?\}`)

// interpolator replaces ${env:NAME}, ${env:NAME:-default} and ${param:name} in
// scalars as they are read, after parsing, so that no value can change the
// document's shape. Expressions are read without it.
type interpolator struct {
	opts   Options
	env    map[string]bool   // declared under env
	params map[string]string // by name
}

func (in *interpolator) scalar(n node) string {
	text := n.y.Value
	if rest := reference.ReplaceAllString(text, ""); dotted(rest) {
		n.r.errorf(n.at(), "interpolation", "write ${env:NAME}, ${env:NAME:-default} or ${param:name}", "%q is not a reference", text)
		return text
	}
	return reference.ReplaceAllStringFunc(text, func(ref string) string {
		m := reference.FindStringSubmatch(ref)
		return in.value(n, m[1], m[2], m[3] != "", m[4])
	})
}

func (in *interpolator) value(n node, kind, name string, hasDefault bool, fallback string) string {
	switch kind {
	case "env":
		if !in.env[name] {
			n.r.errorf(n.at(), "interpolation", "add "+name+" to the list env", "environment variable %s is not declared", name)
			return ""
		}
		if in.opts.Env != nil {
			if v, ok := in.opts.Env(name); ok && v != "" {
				return v
			}
		}
		if !hasDefault {
			n.r.errorf(n.at(), "interpolation", "set it, or write ${env:"+name+":-default}", "environment variable %s is not set", name)
		}
		return fallback
	case "param":
		v, ok := in.params[name]
		if !ok {
			n.r.errorf(n.at(), "interpolation", didYouMean(name, keys(in.params)), "there is no param %s", name)
		}
		return v
	default:
		n.r.errorf(n.at(), "interpolation", "write ${env:NAME} or ${param:name}", "there is no source %s", kind)
		return ""
	}
}

func keys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	return out
}
