//go:build race

package api_test

// raceDetector tells that pools drop what they are given at random.
const raceDetector = true
