package config

import (
	"errors"
	"testing"
	"time"
)

func def() *Def {
	return New(
		Key{Name: "name", Type: String, Required: true, Check: NonEmpty},
		Key{Name: "n", Type: Int, Default: 3, Check: Between(1, 9)},
		Key{Name: "ms", Type: Long, Default: int64(1500)},
		Key{Name: "on", Type: Boolean, Default: false},
		Key{Name: "list", Type: List, Default: []string{}},
		Key{Name: "secret", Type: Password, Check: OneOf("a", "b")},
	)
}

func TestParse(t *testing.T) {
	v, err := def().Parse(map[string]string{"name": " x ", "on": "TRUE", "list": "a, b,c", "other": "ignored"})
	if err != nil {
		t.Fatal(err)
	}
	if v.String("name") != "x" || v.Int("n") != 3 || v.Millis("ms") != 1500*time.Millisecond || !v.Bool("on") || len(v.List("list")) != 3 || v.String("secret") != "" {
		t.Errorf("%+v", v)
	}
	if !v.Given("on") || v.Given("n") {
		t.Error("given and defaulted keys are mixed up")
	}
}

func TestMessagesAreThoseOfKafkaConnect(t *testing.T) {
	for _, c := range []struct {
		props map[string]string
		want  string
	}{
		{map[string]string{}, `Missing required configuration "name" which has no default value.`},
		{map[string]string{"name": ""}, `Invalid value  for configuration name: String must be non-empty`},
		{map[string]string{"name": "x", "n": "many"}, `Invalid value many for configuration n: Not a number of type INT`},
		{map[string]string{"name": "x", "n": "0"}, `Invalid value 0 for configuration n: Value must be at least 1`},
		{map[string]string{"name": "x", "n": "10"}, `Invalid value 10 for configuration n: Value must be no more than 9`},
		{map[string]string{"name": "x", "on": "yes"}, `Invalid value yes for configuration on: Expected value to be either true or false`},
		{map[string]string{"name": "x", "secret": "pass"}, `Invalid value [hidden] for configuration secret: String must be one of (case insensitive): a, b`},
		{map[string]string{"n": "x", "on": "1"}, `Missing required configuration "name" which has no default value.; Invalid value x for configuration n: Not a number of type INT; Invalid value 1 for configuration on: Expected value to be either true or false`},
	} {
		_, err := def().Parse(c.props)
		if !errors.Is(err, ErrInvalid) || err.Error() != c.want {
			t.Errorf("%v:\n got %v\nwant %s", c.props, err, c.want)
		}
	}
}

func TestValidateAndUnknown(t *testing.T) {
	bad := 0
	for _, v := range def().Validate(map[string]string{"n": "x"}) {
		bad += len(v.Errors)
	}
	if bad != 2 {
		t.Errorf("%d errors, want 2", bad)
	}
	got := def().Unknown(map[string]string{"name": "", "nmae": "", "transforms.a.type": "", "zz": ""}, "transforms.")
	if len(got) != 2 || got[0] != "nmae" || got[1] != "zz" {
		t.Errorf("unknown keys: %v", got)
	}
}
