// Package controller decides who leads which partition, and carries out what
// administrators ask for.
//
//   - Controller is the pure core: events (this broker was elected, brokers came
//     or went, topic nodes changed, replicas answered) go in, effects come out:
//     changes of the tree and requests to brokers. It has no goroutine, clock,
//     lock or I/O.
//   - Runner is the thin shell: one goroutine that wins or watches
//     /controller, reads the tree, feeds the core and carries out its effects.
//   - Admin serves administrative requests by writes to the tree; the controller
//     reacts to what changed there, whoever wrote it.
//   - ConfigWatcher applies changed configs on every broker; ProducerIDs hands
//     out blocks of producer ids; RegisterBroker announces a broker.
//
// Every write of the controller is a multi that also checks the version of
// /controller_epoch, so that a controller that lost its node cannot write.
// Layer L3.
package controller
