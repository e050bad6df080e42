package org.ftcluster.cli.local;

import java.util.ArrayList;
import java.util.List;
import org.ftcluster.cli.console.CommandException;
import org.ftcluster.cli.local.ChildJvm.Launch;

/** Processes of ours that all end with {@link #close}, or with this JVM. Any thread may call. */
public final class Children implements AutoCloseable {
  private final Thread hook = new Thread(this::endAll, "end-children");
  private final List<ChildJvm> started = new ArrayList<>();
  private volatile boolean closed;

  public Children() {
    Runtime.getRuntime().addShutdownHook(hook);
  }

  /** Starts one; it isn't ready yet. */
  public synchronized ChildJvm start(Launch launch) {
    if (closed) {
      throw CommandException.failed("the local cluster is closed");
    }
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
    alive().forEach(ChildJvm::dismiss);
    alive().forEach(ChildJvm::close);
  }
}
