package org.ftcluster.worker.optimizer;

import org.ftcluster.worker.collective.Communicator;

/**
 * The ranks that share state out, as one of them sees them.
 *
 * @param all ranks of the generation
 * @param group those that hold all of the state between them
 * @param stage of those, the ones that have gradients of the same parameters, where these are; in
 *     the background of what they do otherwise
 * @param twins the ranks that have the same share, one of each group, where gradients are
 */
public record Sharers(
    Communicator all, Communicator group, Communicator stage, Communicator twins) {
  boolean areInGroups() {
    return twins.size() > 1;
  }
}
