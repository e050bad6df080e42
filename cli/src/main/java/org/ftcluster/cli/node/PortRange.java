package org.ftcluster.cli.node;

import org.ftcluster.cli.console.CommandException;

/**
 * Ports of workers on one machine: one after the other, or any that are free.
 *
 * @param option that names the first
 * @param first the first worker's; 0 where all take any free one
 * @param workers so many have one each
 */
record PortRange(String option, int first, int workers) {
  private static final int LAST = 65_535;

  PortRange {
    if (first != 0 && first + workers - 1 > LAST) {
      throw CommandException.badRequest(
          "%s %d leaves no port for each of %d workers: %d is the last one"
              .formatted(option, first, workers, LAST));
    }
  }

  /**
   * @param worker counted from 0
   */
  int of(int worker) {
    return first == 0 ? 0 : first + worker;
  }

  /** Refuses two of which a port is in both. */
  void requireApartFrom(PortRange other) {
    boolean bothFixed = first != 0 && other.first != 0;
    if (bothFixed && Math.abs(first - other.first) < workers) {
      throw CommandException.badRequest(
          "%s and %s take %d ports each, from %d and %d on, and share some; put them %d apart"
              .formatted(option, other.option, workers, first, other.first, workers));
    }
  }
}
