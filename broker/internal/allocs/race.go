//go:build race

package allocs

// raceDetector tells that pools drop what they are given at random.
const raceDetector = true
