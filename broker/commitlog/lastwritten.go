package commitlog

import "github.com/leatstream/leat/broker/commitlog/format"

// LastWritten is the time in ms at which the log file of the segment at base was
// last written: no record in it came later. ok is false when the file cannot be
// asked.
func (l *Log) LastWritten(base int64) (ms int64, ok bool) {
	info, err := l.dir.fs.Stat(l.dir.name(format.FileName(base, format.LogSuffix)))
	if err != nil {
		return 0, false
	}
	return info.ModTime().UnixMilli(), true
}
