package org.ftcluster.cli.jvm;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.ftcluster.cli.console.CommandException;

/** Processes of ours that all end with {@link #close}, or with this JVM. Any thread may call. */
public final class Children implements AutoCloseable {
  private final Thread hook = new Thread(this::endAll, "end-children");
  private final List<ChildJvm> started = new ArrayList<>();
  private final Consumer<List<ChildJvm>> farewell;
  private volatile boolean closed;

  /** Told to end, they have nothing to do first. */
  public Children() {
    this(children -> children.forEach(ChildJvm::dismiss));
  }

  /**
   * @param farewell what those that are there are given to do, and time for it; who is still there
   *     afterwards is ended
   */
  public Children(Consumer<List<ChildJvm>> farewell) {
    this.farewell = farewell;
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /** Starts one; it isn't ready yet. */
  public synchronized ChildJvm start(Launch launch) {
    if (closed) {
      throw CommandException.failed(
          "process %s isn't started any more: all are being ended".formatted(launch.name()));
    }
    started.removeIf(child -> !child.alive());
    ChildJvm child = ChildJvm.start(launch);
    started.add(child);
    return child;
  }

  /** Those that are there. */
  public synchronized List<ChildJvm> alive() {
    return started.stream().filter(ChildJvm::alive).toList();
  }

  /** Whether they are being ended. */
  public boolean isClosed() {
    return closed;
  }

  @Override
  public void close() {
    endAll();
    try {
      Runtime.getRuntime().removeShutdownHook(hook);
    } catch (IllegalStateException e) {
      // This JVM is ending, and the hook has run or will find nothing left to do.
    }
  }

  /** All at once; returns when they have ended. */
  private synchronized void endAll() {
    closed = true;
    farewell.accept(alive());
    alive().forEach(ChildJvm::close);
  }
}
