package org.ftcluster.coordinator.job;

import org.apache.pekko.actor.typed.ActorRef;
import org.ftcluster.protocol.message.WorkerCommand;

/**
 * A worker that the coordinator can reach.
 *
 * @param node {@code host:port} of its node
 */
public record Worker(String node, ActorRef<WorkerCommand> ref) {}
