package oracle

// differences lists what Leat does otherwise than Kafka, and why.
func differences() []difference {
	return []difference{}
}
