// Package parquet is a sink that writes topics to typed Parquet files in a
// local folder, each record into exactly one file.
//
// The commit protocol, per partition, has no log of its own: the file names
// are the log.
//
//  1. Records are gathered in one open file under a temporary name,
//     .tmp/<connector>/<topic>+<partition>+<random>.tmp.
//  2. When it is large or old enough, the file gets its footer, is synced and
//     closed.
//  3. It is renamed to <topic>/partition=<p>/<topic>+<p>+<start>+<end>.parquet
//     without replacing anything, and the folder is synced. This rename is the
//     commit. Both offsets are inclusive and zero-padded; ranges of one
//     partition follow each other without gap or overlap, whether or not each
//     offset in them exists in the log.
//  4. Only then does PreCommit call the offset after end safe.
//
// When a partition is opened, its temporary files are deleted and the runtime
// is asked to go on after the highest contiguous end. So a crash before step 3
// loses only a temporary file whose records come again, and a crash after it
// loses nothing: the group's offset may lag behind the names, never lead them.
// Any failed step has the same remedy: drop the temporary file, look at the
// names, go on from there.
//
// The task belongs to one goroutine and starts none.
package parquet
