package all

import (
	"github.com/leatstream/leat/connect"
	"github.com/leatstream/leat/connectors/activity"
	"github.com/leatstream/leat/connectors/file"
	"github.com/leatstream/leat/connectors/hostmetrics"
	"github.com/leatstream/leat/connectors/parquet"
)

// Plugins lists the connectors, sources first.
func Plugins() []connect.Plugin {
	return []connect.Plugin{
		file.Plugin(),
		hostmetrics.Plugin(),
		activity.Plugin(),
		parquet.Plugin(),
	}
}
