package org.ftcluster.cli.chaos;

import java.util.HashSet;
import java.util.Set;
import org.ftcluster.cli.chaos.Cut.Direction;

/** Which directions are cut at this moment. Any thread may use it. */
final class Cuts implements AutoCloseable {
  private final Set<Direction> cut = new HashSet<>();
  private boolean closed;

  synchronized void cut(Direction direction) {
    cut.add(direction);
  }

  synchronized void heal(Direction direction) {
    cut.remove(direction);
    notifyAll();
  }

  /**
   * Returns when what is sent that way arrives.
   *
   * @throws InterruptedException where it never will, since all is over
   */
  synchronized void awaitOpen(Direction direction) throws InterruptedException {
    while (cut.contains(direction) && !closed) {
      wait();
    }
    if (closed) {
      throw new InterruptedException("the network is closed");
    }
  }

  /** Nobody waits any more. */
  @Override
  public synchronized void close() {
    closed = true;
    notifyAll();
  }
}
